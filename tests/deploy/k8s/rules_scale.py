"""Rules about numbers: replicas, updates and drains that lose nothing, autoscalers, the database's connections."""

import inspect
from collections.abc import Iterator

from kit.database import Database
from tests.deploy.k8s.code import SERVICES, is_ours
from tests.support.manifests import Manifests

DNS_S = 30 + 5
"""How long cluster DNS keeps an answer, and the least time between two look-ups of a client (kit/client.py)."""
RESERVED = 20
"""Connections of the owner, the operator and replicas."""


def protected(manifests: Manifests) -> Iterator[str]:
    """One pod of a workload at a time may be evicted, and one that is ill anyway."""
    budgets = {each["metadata"]["name"]: each["spec"] for each in manifests.of("PodDisruptionBudget")}
    for workload in manifests.workloads():
        if not workload.runs_on:
            continue
        spec = budgets.get(workload.name, {})
        if spec.get("maxUnavailable") != 1 or spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{workload.name}: {spec} does not protect it"
    if needless := budgets.keys() - {workload.name for workload in manifests.workloads() if workload.runs_on}:
        yield f"{sorted(needless)} protect nobody"


def updated(manifests: Manifests) -> Iterator[str]:
    """In a rolling update there is always one that serves, and that its clients know of."""
    for workload in manifests.workloads():
        spec = workload.manifest["spec"]
        if workload.kind != "Deployment" or not workload.runs_on or workload.name == "valkey":
            continue
        if spec["strategy"].get("rollingUpdate") != {"maxUnavailable": 0, "maxSurge": 1}:
            yield f"{workload.name}: {spec['strategy']} takes pods away first"
        if workload.name in SERVICES and spec.get("minReadySeconds", 0) < DNS_S:
            yield f"{workload.name}: the last old pod goes before clients know a new one"
    edge = manifests.workload("edge").manifest["spec"]
    least = {each["metadata"]["name"]: each["spec"]["minReplicas"] for each in manifests.of("HorizontalPodAutoscaler")}
    if edge.get("replicas", least.get("edge", 1)) < 2:
        yield "edge: nobody serves while the only pod is replaced"
    if edge["updateStrategy"] != {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}:
        yield f"edge: {edge['updateStrategy']} does not update all of it"
    if set(edge["persistentVolumeClaimRetentionPolicy"].values()) != {"Retain"}:
        yield "edge: a journal may be deleted with what is in it"
    job = manifests.get("Job", "migrate")["spec"]
    if "ttlSecondsAfterFinished" not in job or "activeDeadlineSeconds" not in job:
        yield "migrate: stays for ever"


def spread(manifests: Manifests) -> Iterator[str]:
    """Pods of ours stay apart, over hosts and zones."""
    for workload in manifests.workloads():
        if workload.runs_on and is_ours(workload.main):
            keys = {each["topologyKey"] for each in workload.pod.get("topologySpreadConstraints", [])}
            if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
                yield f"{workload.name}: is spread over {sorted(keys)}"


def scaled(manifests: Manifests) -> Iterator[str]:
    """Autoscalers have a target with requests and no number of its own, and take pods away slowly."""
    for each in manifests.of("HorizontalPodAutoscaler"):
        name, spec = each["metadata"]["name"], each["spec"]
        target = spec["scaleTargetRef"]
        found = [
            workload
            for workload in manifests.workloads()
            if (workload.kind, workload.name) == (target["kind"], target["name"])
        ]
        if not found:
            yield f"{name}: there is no {target['kind']} {target['name']}"
            continue
        if "replicas" in found[0].manifest["spec"]:
            yield f"{name}: each apply would undo its work"
        if "cpu" not in found[0].main["resources"]["requests"]:
            yield f"{name}: CPU of what?"
        if not 2 <= spec["minReplicas"] < spec["maxReplicas"]:
            yield f"{name}: between {spec['minReplicas']} and {spec['maxReplicas']}"
        down = spec.get("behavior", {}).get("scaleDown", {})
        if down.get("stabilizationWindowSeconds", 0) < 300 or [
            (policy["type"], policy["value"]) for policy in down.get("policies", [])
        ] != [("Pods", 1)]:
            yield f"{name}: takes pods away by {down}"


def connected(manifests: Manifests) -> Iterator[str]:
    """The database has connections for all the pods that there may be."""
    most = {each["metadata"]["name"]: each["spec"]["maxReplicas"] for each in manifests.of("HorizontalPodAutoscaler")}
    pool: int = inspect.signature(Database.connect).parameters["max_size"].default
    pods = sum(most.get(name, manifests.workload(name).manifest["spec"].get("replicas", 1)) + 1 for name in SERVICES)
    for cluster in manifests.of("Cluster"):
        has = int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
        if pods * pool + RESERVED > has:
            yield f"{pods} pods of services may want {pods * pool} connections, of {has}"
