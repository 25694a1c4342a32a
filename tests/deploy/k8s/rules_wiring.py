"""Rules about what refers to what: selectors, names, keys, ports, settings."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from deploy.k8s.make_secrets import Known, make
from tests.deploy.k8s.code import OURS, SERVICES, SETTINGS, callers, is_ours, is_secret, port_of, settings_of
from tests.support.manifests import NAME, Manifest, Manifests, Workload, selects

MADE_ELSEWHERE = {"postgres-ca": {"ca.crt"}, "edge-public-tls": {"tls.crt", "tls.key"}}
"""Secrets that an operator of the cluster makes: CloudNativePG its authority, cert-manager the public certificate."""
MADE = make(Known(Path("/nonexistent"), {}), litellm=True)
"""Secrets that the program beside the manifests makes."""


def fitting(manifests: Manifests) -> Iterator[str]:
    """Every selector finds pods, and just those that it is for."""
    for kind in ("Deployment", "StatefulSet", "PodDisruptionBudget", "Service", "PodMonitor"):
        for manifest in manifests.of(kind):
            selector, name = manifest["spec"]["selector"], manifest["metadata"]["name"]
            found = _found(manifests, {"matchLabels": selector} if kind == "Service" else selector)
            # A Job of the same identity does no harm: controllers own their pods.
            if found - {"reconcile"} != (set(OURS) if kind == "PodMonitor" else {name.removesuffix("-pods")}):
                yield f"{kind} {name}: selects {sorted(found)}"
    for workload in manifests.workloads():
        for constraint in workload.pod.get("topologySpreadConstraints", []):
            if not selects(constraint["labelSelector"], workload.labels):
                yield f"{workload.name}: is spread by labels that it has not"
            if missing := set(constraint.get("matchLabelKeys", [])) - workload.labels.keys():
                yield f"{workload.name}: has no labels {missing}"


def _found(manifests: Manifests, selector: Manifest) -> set[str]:
    return {workload.name for workload in manifests.workloads() if selects(selector, workload.labels)}


def named(manifests: Manifests) -> Iterator[str]:
    """Every Secret, ConfigMap, key, ServiceAccount and certificate's issuer that is referred to is there."""
    there = {
        "Secret": made_by_others(manifests),
        "ConfigMap": {each["metadata"]["name"]: set(each["data"]) for each in manifests.of("ConfigMap")},
        "ServiceAccount": {name: set() for name in manifests.names("ServiceAccount")},
    }
    for workload in manifests.workloads():
        for kind, name, key in _references(workload):
            if name not in there[kind]:
                yield f"{workload.name}: nobody makes the {kind} {name}"
            elif key and key not in there[kind][name]:
                yield f"{workload.name}: the {kind} {name} has no {key}"
    for certificate in manifests.of("Certificate", "Issuer"):
        issuer = certificate["spec"].get("issuerRef", {}).get("name")
        if issuer and issuer not in manifests.names("Issuer"):
            yield f"{certificate['metadata']['name']}: no Issuer {issuer}"


def _references(workload: Workload) -> Iterator[tuple[str, str, str]]:
    """(kind, name, key or nothing) of all that the pods of a workload refer to."""
    yield "ServiceAccount", workload.pod["serviceAccountName"], ""
    for volume in workload.volumes.values():
        for field, kind, name in (("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name")):
            if field in volume:
                yield kind, volume[field][name], ""
                yield from ((kind, volume[field][name], item["key"]) for item in volume[field].get("items", []))
    for container in workload.containers:
        for source in container.get("envFrom", []):
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if field in source:
                    yield kind, source[field]["name"], ""


def made_by_others(manifests: Manifests) -> dict[str, set[str]]:
    """Secret -> keys, of all that are made by the program beside the manifests, or by operators of the cluster."""
    certificates = {
        each["spec"]["secretName"]: {"tls.crt", "tls.key", "ca.crt"} for each in manifests.of("Certificate")
    }
    return MADE_ELSEWHERE | certificates | {name: set(values) for name, values in MADE.items()}


def ported(manifests: Manifests) -> Iterator[str]:
    """Ports are those that the processes open, and every name, route and address leads to one."""
    for workload in manifests.workloads():
        if workload.name in OURS:
            given = manifests.environment(workload.main)
            opened = {int(found) for key, text in given.items() if (found := _opened(key, text))}
            declared = {each["containerPort"] for each in workload.main["ports"]}
            if opened != declared:
                yield f"{workload.name}: opens {sorted(opened)} and declares {sorted(declared)}"
        for container in workload.containers:
            yield from (f"{workload.name}: {text}" for text in _astray(manifests, container))
    for service in manifests.of("Service"):
        yield from (f"Service {service['metadata']['name']}: {text}" for text in _unserved(manifests, service))
    yield from _dead_ends(manifests)


def _dead_ends(manifests: Manifests) -> Iterator[str]:
    """Routes to nowhere, and metrics that nobody serves."""
    for backend in _backends(manifests):
        if not _leads(manifests, f"http://{backend}"):
            yield f"a route leads to {backend}"
    for monitor in manifests.of("PodMonitor"):
        asked = {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]}
        for name in OURS:
            if not asked <= {each["name"] for each in manifests.workload(name).main["ports"]}:
                yield f"PodMonitor: {name} has no port {asked}"


def _unserved(manifests: Manifests, service: Manifest) -> Iterator[str]:
    """Ports of a Service that lead elsewhere; a gRPC service must also be where clients look for all of its pods."""
    name, spec = service["metadata"]["name"], service["spec"]
    for port in spec["ports"]:
        if _target(manifests, service, port) != port["port"]:
            yield f"{port['port']} is another one in the pod"
    if name in SERVICES and (spec.get("clusterIP"), spec["ports"][0]["port"]) != ("None", port_of(name)):
        yield "is not headless, or at another port"


def _astray(manifests: Manifests, container: Manifest) -> Iterator[str]:
    """Probes at closed ports, and addresses of nobody."""
    open_ports = {each[key] for each in container.get("ports", []) for key in ("containerPort", "name")}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        for kind in ("grpc", "httpGet", "tcpSocket"):
            port = container.get(probe, {}).get(kind, {}).get("port")
            if port is not None and port not in open_ports:
                yield f"its {probe} asks at {port}"
    for key, text in manifests.environment(container).items():
        if (key.endswith("_ADDR") or "://" in text) and not _leads(manifests, text):
            yield f"{key}={text} leads nowhere"


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
            command = tuple(container["command"])
            if command not in SETTINGS or (command[1] == "-m" and importlib.util.find_spec(command[2]) is None):
                yield f"{where}: runs {command}, which is not there"
                continue
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
    """Each process that calls or is called has the certificate of its own identity and name."""
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
