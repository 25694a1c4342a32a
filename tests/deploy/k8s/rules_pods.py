"""Rules about pods: how they are confined, asked whether they are well, stopped, and what they may use."""

import re
from collections.abc import Iterator
from decimal import Decimal

from edge.money.pace import Pace
from kit.health import LIVENESS, READINESS
from kit.settings import Settings
from tests.deploy.k8s.code import OURS, drain_s, is_ours
from tests.support.manifests import Manifest, Manifests, Workload, mounts

START_S = 30
"""At least, for a process to start in: beside others on a busy node."""
SPARE_S = 10
"""At least, of each grace period: for what is not counted."""
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
WRITABLE = {"emptyDir", "volumeClaimTemplate"}
VOLUMES = {"name", "secret", "configMap", *WRITABLE}
USER = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNIT: dict[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000**power) for power, unit in enumerate("kMGT", start=1)},
    **{unit: Decimal(1024**power) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1)},
}


def quantity(text: object) -> Decimal:
    """A quantity as a number. ValueError where it is none."""
    found = _QUANTITY.fullmatch(str(text))
    if not found:
        raise ValueError(f"{text} is no quantity")
    return Decimal(found[1]) * _UNIT[found[2]]


def confined(manifests: Manifests) -> Iterator[str]:
    """The "restricted" Pod Security Standard, a read-only root, our user, no token, no variables of Services."""
    for workload in manifests.workloads():
        yield from (f"{workload.name}: {text}" for text in _exposed(workload))
        for container in workload.containers:
            yield from (f"{workload.name}/{container['name']}: {text}" for text in _loose(container))
    for account in manifests.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{account['metadata']['name']}: its token is mounted"
    for namespace in manifests.of("Namespace"):
        labels = namespace["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield "the namespace takes pods that are not restricted"


def _exposed(workload: Workload) -> Iterator[str]:
    pod, context = workload.pod, workload.pod.get("securityContext", {})
    if any(context.get(key) != value for key, value in USER.items()):
        yield f"runs as {context}"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "has a token of the API"
    if pod.get("enableServiceLinks") is not False:
        yield "Services become variables, such as EDGE_PORT"
    if {"hostNetwork", "hostPID", "hostIPC"} & pod.keys():
        yield "shares something with its host"
    if others := {kind for volume in workload.volumes.values() for kind in volume} - VOLUMES:
        yield f"has volumes of {others}"


def _loose(container: Manifest) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write everywhere"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "has capabilities"
    if "privileged" in context:
        yield "says whether it is privileged"


def probed(manifests: Manifests) -> Iterator[str]:
    """Every server is asked three things; ours by gRPC at the plaintext port, the edge at its paths."""
    for workload in manifests.workloads():
        if not workload.runs_on:
            continue
        for probe in PROBES:
            if probe not in workload.main:
                yield f"{workload.name}: has no {probe}"
            elif is_ours(workload.main):
                asked = {
                    key: workload.main[probe].get(key) for key in ("grpc", "httpGet") if key in workload.main[probe]
                }
                if asked != _asked(workload, probe, manifests):
                    yield f"{workload.name}: its {probe} asks {asked}"
        startup = workload.main.get("startupProbe", {})
        given_s = startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3)
        if given_s < (needed_s := _starts_within_s(workload, manifests)):
            yield f"{workload.name}: has {given_s} s to start, and may need {needed_s:.0f}"


def _starts_within_s(workload: Workload, manifests: Manifests) -> float:
    """Who waits for what it needs ends by itself and says why; it is not to be killed before that."""
    if not is_ours(workload.main):
        return START_S
    told = manifests.environment(workload.main).get("START_WITHIN_S")
    return START_S + float(told or Settings.model_fields["start_within_s"].default)


def _asked(workload: Workload, probe: str, manifests: Manifests) -> Manifest:
    ready = probe == "readinessProbe"
    if workload.name == "edge":
        return {"httpGet": {"path": "/health/ready" if ready else "/health", "port": "api"}}
    port = manifests.environment(workload.main)["HEALTH_LISTEN"].rpartition(":")[2]
    return {"grpc": {"port": int(port), "service": READINESS if ready else LIVENESS}}


def given_time(manifests: Manifests) -> Iterator[str]:
    """Who is stopped is left alone for the preStop first, and then has longer than it may need."""
    edge = drain_s("edge", manifests.environment(manifests.workload("edge").main))
    for workload in manifests.workloads():
        if not workload.runs_on or workload.name == "valkey":
            continue
        sleep_s = workload.main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if sleep_s < 10:
            yield f"{workload.name}: clients have {sleep_s} s to notice that it goes"
        ours = workload.name in OURS
        # What streams come from must go on for as long as they may.
        needed = drain_s(workload.name, manifests.environment(workload.main)) if ours else edge
        if workload.pod["terminationGracePeriodSeconds"] < sleep_s + needed + (SPARE_S if ours else 0):
            yield f"{workload.name}: is killed after {workload.pod['terminationGracePeriodSeconds']} s"


def bounded(manifests: Manifests) -> Iterator[str]:
    """Each container requests CPU and memory, has a limit of memory that is no less, and none of CPU."""
    for workload in manifests.workloads():
        for container in workload.containers:
            resources = container.get("resources", {})
            requests, limits = resources.get("requests", {}), resources.get("limits", {})
            where = f"{workload.name}/{container['name']}"
            try:
                cpu, memory = quantity(requests["cpu"]), quantity(requests["memory"])
                limit = quantity(limits["memory"])
            except (KeyError, ValueError) as error:
                yield f"{where}: {error!r}"
                continue
            if not 0 < cpu <= 8 or not 0 < memory <= limit:
                yield f"{where}: requests {cpu} cores and {memory} of {limit} bytes"
            if "cpu" in limits:
                yield f"{where}: has a limit of CPU"
        for name, volume in workload.volumes.items():
            sizes = [
                volume.get("emptyDir", {}).get("sizeLimit"),
                volume.get("volumeClaimTemplate", {})
                .get("spec", {})
                .get("resources", {})
                .get("requests", {})
                .get("storage"),
            ]
            for size in sizes:
                if size is not None and not _is_quantity(size):
                    yield f"{workload.name}: the volume {name} has {size} bytes"


def _is_quantity(text: object) -> bool:
    try:
        return quantity(text) > 1024
    except ValueError:
        return False


def has_its_places(manifests: Manifests) -> Iterator[str]:
    """Each directory that a setting names is a mount, and can be written to if and only if it must be."""
    for workload in manifests.workloads():
        for container in workload.containers:
            found = dict(mounts(workload, container))
            kinds = {path: next(iter(volume.keys() - {"name"})) for path, volume in found.items()}
            told = manifests.environment(container)
            for setting, kind in (
                ("SECRETS_DIR", "secret"),
                ("TLS_DIR", "secret"),
                ("EDGE_JOURNAL_DIR", "volumeClaimTemplate"),
            ):
                if setting in told and kinds.get(told[setting]) != kind:
                    yield f"{workload.name}: {setting}={told[setting]} is no {kind}"
            if "EDGE_JOURNAL_DIR" in told and _size(found.get(told["EDGE_JOURNAL_DIR"], {})) < 2 * Pace().journal_bytes:
                yield f"{workload.name}: its journal and one that it adopts do not fit side by side"
            for mount in container.get("volumeMounts", []):
                if kinds[mount["mountPath"]] not in WRITABLE and not mount.get("readOnly"):
                    yield f"{workload.name}: may write into {mount['mountPath']}"
            for path, volume in found.items():
                if "secret" in volume and volume["secret"].get("defaultMode") != 0o440:
                    yield f"{workload.name}: everybody may read {path}"


def _size(volume: Manifest) -> Decimal:
    """Of a volume that a StatefulSet makes; 0 for others."""
    claim = volume.get("volumeClaimTemplate", {}).get("spec", {}).get("resources", {}).get("requests", {})
    return quantity(claim.get("storage", 0))


def hooked(manifests: Manifests) -> Iterator[str]:
    """Each image names its release or digest, and never the newest one."""
    for workload in manifests.workloads():
        for container in workload.containers:
            tag = container["image"].rpartition("/")[2]
            if not ("@sha256:" in tag or re.fullmatch(r"[^:]+:(?!latest$)[\w.-]+", tag)):
                yield f"{workload.name}: {container['image']} may be any release"
