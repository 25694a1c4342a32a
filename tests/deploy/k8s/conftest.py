"""Overlays and components, each rendered once by the real kubectl."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support import kubectl
from tests.support.manifests import Manifests

K8S = Path(__file__).parents[3] / "deploy" / "k8s"
OVERLAYS = sorted(each.name for each in (K8S / "overlays").iterdir())
BESIDE = {
    "litellm": ("ollama",),
    "litellm-database": ("cloudnative-pg", "ollama", "litellm"),
    "external-upstreams": ("network-policies",),
}
"""What a component wants beside it."""
COMPONENTS = sorted(each.name for each in (K8S / "components").iterdir())
IMAGES = ("privaterouter", "valkey/valkey", "ollama/ollama", "ghcr.io/berriai/litellm-non_root")

Rendering = Callable[[str], Manifests]


@pytest.fixture(scope="session")
def overlay() -> Rendering:
    """What an overlay renders to."""
    return cache(lambda name: Manifests(kubectl.render(K8S / "overlays" / name)))


@pytest.fixture(scope="session")
def component(tmp_path_factory: pytest.TempPathFactory) -> Rendering:
    """What the base renders to with one component, and those that it wants beside it.

    All are rendered at once, each into a namespace of its own: most of what it takes is the start of kustomize.
    """
    copy = tmp_path_factory.mktemp("deploy") / "k8s"
    for part in ("k8s/base", "k8s/components", "monitoring"):
        shutil.copytree(K8S.parent / part, copy.parent / part)
    for name in COMPONENTS:
        lines = [f"namespace: {name}", "resources: [../../base]", "components:"]
        lines += [f"  - ../../components/{each}" for each in (*BESIDE.get(name, ()), name)]
        lines += ["images:", *(f"  - {{name: {image}, newTag: '1.0'}}" for image in IMAGES)]
        kustomization(copy / "alone" / name, lines)
    rendered = kubectl.render(kustomization(copy / "all", ["resources:", *(f"  - ../alone/{n}" for n in COMPONENTS)]))

    def of(name: str) -> Manifests:
        return Manifests(
            each
            for each in rendered
            # A Namespace is in none; it is called like the one that all others are in.
            if each["metadata"]["name" if each["kind"] == "Namespace" else "namespace"] == name
        )

    return cache(of)


def kustomization(directory: Path, lines: list[str]) -> Path:
    """Writes one, and gives its directory back."""
    directory.mkdir(parents=True)
    (directory / "kustomization.yaml").write_text("\n".join(lines))
    return directory
