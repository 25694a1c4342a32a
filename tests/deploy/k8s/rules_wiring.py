"""Rules about what refers to what: selectors, names, keys, ports, settings."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from deploy.k8s.make_secrets import Known, make
from tests.deploy.k8s.code import OURS, SERVICES, callers, is_ours, is_secret, port_of, settings_of
from tests.support.manifests import NAME, Manifest, Manifests, selects

MADE_ELSEWHERE = {"postgres-ca": {"ca.crt"}, "edge-public-tls": {"tls.crt", "tls.key"}}
"""Secrets that an operator of the cluster makes: CloudNativePG its authority, cert-manager the public certificate."""
MADE = make(Known(Path("/nonexistent"), {}), litellm=True)
"""Secrets that the program beside the manifests makes."""


def fitting(manifests: Manifests) -> Iterator[str]:
    """Every selector finds pods, and just those that it is for."""
    pods = {workload.name: workload.labels for workload in manifests.workloads()}
    for workload in manifests.workloads():
        if "selector" in workload.manifest["spec"] and workload.kind != "Job":
            selector = workload.manifest["spec"]["selector"]
            found = {name for name, labels in pods.items() if selects(selector, labels)}
            # A Job of the same identity does no harm: controllers own their pods.
            if workload.name not in found or found - {workload.name, "reconcile"}:
                yield f"{workload.name}: selects {sorted(found)}"
        for spread in workload.pod.get("topologySpreadConstraints", []):
            if not selects(spread["labelSelector"], workload.labels):
                yield f"{workload.name}: is spread by labels that it has not"
            if missing := set(spread.get("matchLabelKeys", [])) - workload.labels.keys():
                yield f"{workload.name}: has no labels {missing}"
    for service in manifests.of("Service"):
        name = service["metadata"]["name"]
        found = {each for each, labels in pods.items() if selects({"matchLabels": service["spec"]["selector"]}, labels)}
        if found != {name.removesuffix("-pods")}:
            yield f"Service {name}: selects {sorted(found)}"
    for budget in manifests.of("PodDisruptionBudget"):
        name = budget["metadata"]["name"]
        if {each for each, labels in pods.items() if selects(budget["spec"]["selector"], labels)} != {name}:
            yield f"PodDisruptionBudget {name}: selects others"
    for monitor in manifests.of("PodMonitor"):
        found = {each for each, labels in pods.items() if selects(monitor["spec"]["selector"], labels)}
        if found != set(OURS):
            yield f"PodMonitor: selects {sorted(found)}"


def named(manifests: Manifests) -> Iterator[str]:
    """Every Secret, ConfigMap, key, ServiceAccount and certificate's issuer that is referred to is there."""
    secrets = made_by_others(manifests)
    for workload in manifests.workloads():
        if workload.pod.get("serviceAccountName") not in manifests.names("ServiceAccount"):
            yield f"{workload.name}: no ServiceAccount {workload.pod.get('serviceAccountName')}"
        for volume in workload.volumes.values():
            name = volume.get("secret", {}).get("secretName")
            if name and name not in secrets:
                yield f"{workload.name}: nobody makes the Secret {name}"
            for item in volume.get("secret", {}).get("items", []):
                if item["key"] not in secrets.get(name, set()):
                    yield f"{workload.name}: {name} has no {item['key']}"
            config = volume.get("configMap", {}).get("name")
            if config and config not in manifests.names("ConfigMap"):
                yield f"{workload.name}: no ConfigMap {config}"
        for container in workload.containers:
            for source in container.get("envFrom", []):
                config = source.get("configMapRef", {}).get("name")
                if config and config not in manifests.names("ConfigMap"):
                    yield f"{workload.name}: no ConfigMap {config}"
                secret = source.get("secretRef", {}).get("name")
                if secret and secret not in secrets:
                    yield f"{workload.name}: nobody makes the Secret {secret}"
    for certificate in manifests.of("Certificate", "Issuer"):
        issuer = certificate["spec"].get("issuerRef", {}).get("name")
        if issuer and issuer not in manifests.names("Issuer"):
            yield f"{certificate['metadata']['name']}: no Issuer {issuer}"


def made_by_others(manifests: Manifests) -> dict[str, set[str]]:
    """Secret -> keys, of all that are made by the program beside the manifests, or by operators of the cluster."""
    certificates = {each["spec"]["secretName"]: {"tls.crt", "tls.key", "ca.crt"} for each in manifests.of("Certificate")}
    return MADE_ELSEWHERE | certificates | {name: set(values) for name, values in MADE.items()}


def ported(manifests: Manifests) -> Iterator[str]:
    """Ports are those that the processes open, and every name, route and address leads to one."""
    for workload in manifests.workloads():
        if is_ours(workload.main) and workload.name in OURS:
            told = manifests.environment(workload.main)
            opened = {int(found) for key, text in told.items() if (found := _opened(key, text))}
            declared = {each["containerPort"] for each in workload.main["ports"]}
            if opened != declared:
                yield f"{workload.name}: opens {sorted(opened)} and declares {sorted(declared)}"
        for container in workload.containers:
            ports = {each["containerPort"] for each in container.get("ports", [])}
            names = {each["name"] for each in container.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = container.get(probe, {})
                port = next((asked[kind]["port"] for kind in ("grpc", "httpGet", "tcpSocket") if kind in asked), None)
                if port is not None and port not in ports | names:
                    yield f"{workload.name}: its {probe} asks at {port}"
            yield from (
                f"{workload.name}: {key}={text} leads nowhere"
                for key, text in manifests.environment(container).items()
                if (key.endswith("_ADDR") or "://" in text) and not _leads(manifests, text)
            )
    for service in manifests.of("Service"):
        name = service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            if _target(manifests, service, port) != port["port"]:
                yield f"Service {name}: {port['port']} is another one in the pod"
    for service_name in SERVICES:
        spec = manifests.get("Service", service_name)["spec"]
        if spec.get("clusterIP") != "None" or [each["port"] for each in spec["ports"]] != [port_of(service_name)]:
            yield f"Service {service_name}: {spec} is not where clients look for all of its pods"
    for backend in _backends(manifests):
        if not _leads(manifests, f"http://{backend}"):
            yield f"a route leads to {backend}"


def _opened(key: str, text: str) -> str | None:
    if key in {"EDGE_PORT", "DASHBOARD_PORT", "METRICS_PORT"}:
        return text
    return text.rpartition(":")[2] if key.endswith("_LISTEN") else None


def _leads(manifests: Manifests, address: str) -> bool:
    found = re.fullmatch(r"(?:dns:///|https?://)([a-z.-]+):(\w+)(/v1)?", address)
    if not found or found[1] not in manifests.names("Service"):
        return False
    ports = manifests.get("Service", found[1])["spec"]["ports"]
    return any(found[2] in (str(each["port"]), each["name"]) for each in ports)


def _target(manifests: Manifests, service: Manifest, port: Manifest) -> int | None:
    selector = {"matchLabels": service["spec"]["selector"]}
    for workload in manifests.workloads():
        if selects(selector, workload.labels):
            for each in workload.main.get("ports", []):
                if each["name"] == port["targetPort"]:
                    return int(each["containerPort"])
    return None


def _backends(manifests: Manifests) -> Iterator[str]:
    for ingress in manifests.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield f"{service['name']}:{service['port']['name']}"
    for route in manifests.of("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                yield f"{backend['name']}:{backend['port']}"


def told(manifests: Manifests) -> Iterator[str]:
    """Our containers run programs that exist, and are told settings that those read, none of them a secret."""
    for workload in manifests.workloads():
        for container in workload.containers:
            if not is_ours(container):
                continue
            where = f"{workload.name}/{container['name']}"
            command = container["command"]
            if command[1] == "-m" and importlib.util.find_spec(command[2]) is None:
                yield f"{where}: there is no {command[2]}"
            known = {name.upper() for name in settings_of(container).model_fields} | {"SECRETS_DIR"}
            given = manifests.environment(container)
            if unknown := given.keys() - known:
                yield f"{where}: {sorted(unknown)} are no settings of it"
            if secret := {name for name in given if is_secret(name.lower())}:
                yield f"{where}: {sorted(secret)} stand in the manifests"
            if any("valueFrom" in each for each in container.get("env", [])):
                yield f"{where}: reads a secret from its environment"
            if any("secretRef" in each for each in container.get("envFrom", [])):
                yield f"{where}: reads secrets from its environment"
    if manifests.of("Secret"):
        yield "there are Secrets in the manifests"


def certified(manifests: Manifests) -> Iterator[str]:
    """Each process that calls or is called has the certificate of its own identity, by the name that it is called by."""
    certificates = manifests.of("Certificate")
    if not certificates:
        return
    identities = {"edge", *SERVICES} | {name for service in SERVICES for name in callers(service)}
    by_name = {each["metadata"]["name"]: each["spec"] for each in certificates}
    for identity in sorted(identities):
        spec = by_name.get(identity, {})
        if spec.get("uris") != [f"spiffe://privaterouter/{identity}"]:
            yield f"no certificate says {identity}"
        if identity in SERVICES and identity not in spec.get("dnsNames", []):
            yield f"{identity}: its certificate has not the name of its Service"
        usages = {"server auth", "client auth"} if identity in SERVICES else {"client auth"}
        if not usages <= set(spec.get("usages", [])):
            yield f"{identity}: its certificate is for {spec.get('usages')}"
    for workload in manifests.workloads():
        identity = workload.labels[NAME]
        if identity in identities:
            told_of = manifests.environment(workload.main).get("TLS_DIR")
            secret = workload.volumes.get("tls", {}).get("secret", {}).get("secretName")
            mounted = {mount["mountPath"] for mount in workload.main["volumeMounts"] if mount["name"] == "tls"}
            if secret != by_name.get(identity, {}).get("secretName") or mounted != {told_of}:
                yield f"{workload.name}: looks for {secret} in {told_of}, and it is in {mounted}"
