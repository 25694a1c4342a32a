"""docs/kubernetes.md says what is there: overlays, components, files, and the numbers of the manifests."""

import re

from edge.settings import EdgeSettings
from tests.deploy.k8s.conftest import COMPONENTS, K8S, OVERLAYS, Rendering
from tests.support import pages

PAGE = "docs/kubernetes.md"
YOURS = {"deploy/k8s/secrets", "deploy/k8s/secrets/litellm/", "deploy/k8s/overlays/mine"}
"""What a reader makes."""


def named(column: str, *columns: str) -> list[str]:
    """The names in the first column of a table."""
    return sorted(
        name.strip(" `") for row in pages.table(pages.read(PAGE), column, *columns) for name in row[column].split(",")
    )


def test_every_overlay_and_component_has_its_line() -> None:
    assert named("Overlay", "What it is") == OVERLAYS
    assert named("Component", "What it is for", "Instead of it") == COMPONENTS


def test_every_file_that_it_names_is_there() -> None:
    paths = set(re.findall(r"\bdeploy/[\w./-]+", pages.read(PAGE))) - YOURS
    assert len(paths) > 5
    assert {path for path in paths if path != "deploy/Dockerfile" and not (pages.ROOT / path).exists()} == set()


def test_the_numbers_are_those_of_the_manifests(overlay: Rendering) -> None:
    text = " ".join(pages.read(PAGE).split())
    manifests = overlay("production")
    edge, auth = manifests.workload("edge"), manifests.workload("auth")
    limits = {
        each["metadata"]["name"]: (each["spec"]["minReplicas"], each["spec"]["maxReplicas"])
        for each in manifests.of("HorizontalPodAutoscaler")
    }
    drain_s = int(manifests.environment(edge.main)["EDGE_DRAIN_S"])
    connections = manifests.get("Cluster", "postgres")["spec"]["postgresql"]["parameters"]["max_connections"]
    said = [
        f"ready for {auth.manifest['spec']['minReadySeconds']} seconds",
        f"serving for {auth.main['lifecycle']['preStop']['sleep']['seconds']} seconds (a service)",
        f"or {edge.main['lifecycle']['preStop']['sleep']['seconds']} (the edge)",
        f"between {limits['edge'][0]} and {limits['edge'][1]} edges",
        f"`max_connections` ({connections})",
    ]
    assert [each for each in said if each not in text] == []
    assert ("five minutes (`EDGE_DRAIN_S`)" in text) == (drain_s == 300)
    assert ("up to six minutes" in text) == (330 < edge.pod["terminationGracePeriodSeconds"] <= 360)
    assert min(low for low, _ in limits.values()) == 2
    assert max(high for name, (_, high) in limits.items() if name != "edge") == 6
    assert drain_s > EdgeSettings.model_fields["edge_drain_s"].default
    assert (K8S / "base" / "config" / "edge.env").exists()
