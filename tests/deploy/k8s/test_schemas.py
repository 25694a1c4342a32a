"""Kubernetes of every release that is still about would take the manifests: its own schemas, strictly."""

import json
from functools import cache
from typing import Any

import pytest
import referencing
from jsonschema import Draft202012Validator
from kubernetes_validate import utils

from tests.deploy.k8s.conftest import COMPONENTS, OVERLAYS, Rendering
from tests.support.manifests import Manifest

RELEASES = tuple(f"1.{minor}" for minor in range(30, 38))
OTHERS = {
    "cert-manager.io/v1": {"Certificate", "Issuer"},
    "gateway.networking.k8s.io/v1": {"Gateway", "HTTPRoute"},
    "monitoring.coreos.com/v1": {"PodMonitor", "PrometheusRule"},
    "postgresql.cnpg.io/v1": {"Cluster", "Database"},
}
"""Kinds that operators bring, and whose schemas are not among Kubernetes' own."""


@cache
def version(release: str) -> str:
    """The schemas of a release, by the package's name for them. AssertionError where it has none."""
    (found,) = {str(each) for each in utils.all_versions() if utils.major_minor(each) == release}
    return found


@cache
def registry(release: str) -> "referencing.Registry[Any]":
    """What all schemas of a release refer to, read once."""
    found = utils.schema_contents(f"{directory(release)}/_definitions.json", release)
    return (referencing.Resource.from_contents(found) @ referencing.Registry()).crawl()


@cache
def validator(release: str, kind: str) -> Draft202012Validator:
    """For one kind, such as `deployment-apps-v1`. FileNotFoundError where the release has no such kind."""
    schema = utils.schema_contents(f"{directory(release)}/{kind}.json", release)
    return Draft202012Validator(schema, registry=registry(release))


def directory(release: str) -> str:
    """Where the strict schemas are: those that refuse fields that they do not know."""
    return f"kubernetes-json-schema/v{version(release)}-local-strict"


def kind_of(manifest: Manifest) -> str:
    """The name of its schema: of the group, only what is before the first dot counts."""
    group, _, api = manifest["apiVersion"].rpartition("/")
    return "-".join(part for part in (manifest["kind"].lower(), group.partition(".")[0], api) if part)


def problems(manifest: Manifest, release: str) -> list[str]:
    """What the release finds wrong with a manifest."""
    if manifest["kind"] in OTHERS.get(manifest["apiVersion"], set()):
        return []
    where = f"{manifest['kind']} {manifest['metadata']['name']}"
    try:
        checks = validator(release, kind_of(manifest))
    except FileNotFoundError:
        return [f"{where}: {release} does not know {manifest['apiVersion']}"]
    return [f"{where}, {error.json_path}: {error.message}" for error in checks.iter_errors(manifest)]


@pytest.fixture(scope="session")
def distinct(overlay: Rendering, component: Rendering) -> list[Manifest]:
    """Every manifest of all overlays and components, once."""
    found = [manifest for name in OVERLAYS for manifest in overlay(name).all]
    found += [manifest for name in COMPONENTS for manifest in component(name).all]
    return [json.loads(text) for text in sorted({json.dumps(manifest, sort_keys=True) for manifest in found})]


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_takes_every_manifest(distinct: list[Manifest], release: str) -> None:
    assert len(distinct) > 100
    assert [problem for manifest in distinct for problem in problems(manifest, release)] == []


@pytest.mark.parametrize(
    "change",
    [
        {"apiVersion": "policy/v1beta1"},
        {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Pooler"},
        {"kind": "PodDisruptionBudgets"},
        {"spec": {"maxUnavailable": 1, "selectors": {}}},
        {"spec": {"maxUnavailable": True}},
    ],
)
def test_what_it_would_not_take_is_noticed(change: Manifest) -> None:
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "edge"}}
    assert problems(budget | {"spec": {"maxUnavailable": 1}}, RELEASES[0]) == []
    assert problems(budget | change, RELEASES[0])


def test_the_schemas_are_found_as_the_command_finds_them(distinct: list[Manifest]) -> None:
    """`kubernetes-validate --strict` reads a megabyte for each manifest; on some of them, it says the same."""
    some = [manifest for manifest in distinct if manifest["kind"] in {"StatefulSet", "NetworkPolicy", "CronJob"}][:3]
    for manifest in some:
        assert utils.validate(manifest, RELEASES[-1], strict=True) == RELEASES[-1]
        with pytest.raises(utils.ValidationError):
            utils.validate(manifest | {"specs": {}}, RELEASES[-1], strict=True)
