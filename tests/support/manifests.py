"""Rendered manifests of Kubernetes, and what rules want to know of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]
Labels = Mapping[str, str]

NAME = "app.kubernetes.io/name"


@dataclass(frozen=True)
class Workload:
    """Whatever makes pods, and the pods' labels and specification."""

    kind: str
    name: str
    manifest: Manifest
    template: Manifest

    @property
    def labels(self) -> Labels:
        """Of its pods."""
        labels: Labels = self.template["metadata"]["labels"]
        return labels

    @property
    def pod(self) -> Manifest:
        """The specification of its pods."""
        pod: Manifest = self.template["spec"]
        return pod

    @property
    def containers(self) -> list[Manifest]:
        """Those that go first, and those that stay."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def main(self) -> Manifest:
        """The one container that stays."""
        (main,) = self.pod["containers"]
        return dict(main)

    @property
    def runs_on(self) -> bool:
        """Whether it stays, as a server does, and has pods by itself."""
        return self.kind in {"Deployment", "StatefulSet"} and self.manifest["spec"].get("replicas") != 0

    @property
    def volumes(self) -> dict[str, Manifest]:
        """By name; what a StatefulSet makes for each pod is among them."""
        templates = self.manifest["spec"].get("volumeClaimTemplates", [])
        made = {each["metadata"]["name"]: {"volumeClaimTemplate": each} for each in templates}
        return made | {each["name"]: each for each in self.pod.get("volumes", [])}


class Manifests:
    """All manifests that a kustomization makes."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self.all = list(manifests)

    def of(self, *kinds: str) -> list[Manifest]:
        """Those of some kinds."""
        return [manifest for manifest in self.all if manifest["kind"] in kinds]

    def names(self, kind: str) -> set[str]:
        """The names of those of a kind."""
        return {manifest["metadata"]["name"] for manifest in self.of(kind)}

    def get(self, kind: str, name: str) -> Manifest:
        """The one of this kind and name. For a ConfigMap the name without the hash that is added to it."""
        found = [
            each
            for each in self.of(kind)
            if each["metadata"]["name"] == name
            or (kind == "ConfigMap" and each["metadata"]["name"].rpartition("-")[0] == name)
        ]
        assert len(found) == 1, f"{len(found)} of {kind} {name}"
        return found[0]

    def workloads(self) -> list[Workload]:
        """Whatever makes pods, in its order."""
        return [
            Workload(each["kind"], each["metadata"]["name"], each, template(each))
            for each in self.of("Deployment", "StatefulSet", "Job", "CronJob")
        ]

    def workload(self, name: str) -> Workload:
        """The one of this name."""
        (found,) = (each for each in self.workloads() if each.name == name)
        return found

    def environment(self, container: Manifest) -> dict[str, str]:
        """What a container is told by variables, those that are no secrets."""
        told: dict[str, str] = {}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                told |= self.get("ConfigMap", source["configMapRef"]["name"])["data"]
        return told | {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}


def template(manifest: Manifest) -> Manifest:
    """The template of the pods that a manifest makes."""
    spec = manifest["spec"]
    found: Manifest = (spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec)["template"]
    return found


def selects(selector: Manifest, labels: Labels) -> bool:
    """Whether a label selector fits labels."""
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _fits(each, labels) for each in selector.get("matchExpressions", [])
    )


def _fits(expression: Manifest, labels: Labels) -> bool:
    assert expression["operator"] == "In", expression
    return labels.get(expression["key"]) in expression["values"]


def mounts(workload: Workload, container: Manifest) -> Iterator[tuple[str, Manifest]]:
    """(path, volume) of each mount of a container; KeyError where there is no such volume."""
    for mount in container.get("volumeMounts", []):
        yield mount["mountPath"], workload.volumes[mount["name"]]
