"""The command line as such: help, wrong usage, and no stack to talk to."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import ADMIN, LEDGER, STACK, build
from tests.cli.conftest import NOWHERE
from tests.support.databases import APP_SECRET
from tests.support.stack import RunningStack, privaterouter

COMMANDS = [
    *((command.__name__.replace("_", "-"),) for command in STACK),
    *(("admin", command.__name__.replace("_", "-")) for command in ADMIN),
    *(("ledger", command.__name__.replace("_", "-")) for command in LEDGER),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example_that_names_its_options(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(build(), [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    examples = re.findall(rf"privaterouter {' '.join(command)}([^\n|]*(?:\\\n[^\n]*)?)", shown.output)[1:]
    assert examples
    options = set(re.findall(r"^  (--[a-z-]+)", shown.output, re.MULTILINE))
    assert {option for example in examples for option in re.findall(r"--[a-z-]+", example)} <= options


def test_a_command_without_a_stack_says_how_to_get_one(tmp_path: Path) -> None:
    answer = privaterouter("admin", "list-users", home=tmp_path / "home")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == (
        f"No stack runs in {tmp_path / 'home'}. Start one with `make up`, name its PRIVATEROUTER_HOME, "
        "or set AUTH_ADDR, CATALOG_ADDR, BILLING_ADDR and USAGE_ADDR to reach a deployed one.\n"
    )


def test_half_a_deployment_is_refused(tmp_path: Path) -> None:
    answer = privaterouter("admin", "list-users", home=tmp_path / "home", AUTH_ADDR="auth:50051")
    assert answer.returncode == 1
    assert answer.stderr.startswith("Set CATALOG_ADDR and BILLING_ADDR and USAGE_ADDR as well")


def test_an_unreachable_service_is_one_line_and_status_1(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("AUTH_ADDR", "CATALOG_ADDR", "BILLING_ADDR", "USAGE_ADDR"), "127.0.0.1:9")
    answer = privaterouter("admin", "list-users", home=tmp_path / "home", **nowhere)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith("A service cannot be reached. Is the stack running?")
    assert len(answer.stderr.splitlines()) == 1


def test_services_are_found_by_their_addresses_as_in_a_deployment(stack: RunningStack, tmp_path: Path) -> None:
    where = {f"{name.upper()}_ADDR": stack.places.address(name) for name in ("auth", "catalog", "billing", "usage")}
    assert privaterouter("admin", "list-users", home=tmp_path / "elsewhere", **where).returncode == 0


@pytest.mark.parametrize("arguments", [("admin", "set-plan"), ("bogus",), ("admin", "set-plan-limits", "--rpm", "0")])
def test_wrong_usage_is_status_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert privaterouter(*arguments, home=tmp_path / "home").returncode == 2


def test_migrating_and_seeding_a_running_stack_again_changes_nothing(stack: RunningStack) -> None:
    migrated = stack.command("migrate")
    assert migrated.returncode == 0
    assert len(re.findall(r": up to date \(", migrated.stdout)) == 4
    seeded = stack.command("seed", **NOWHERE)
    assert (seeded.returncode, seeded.stderr) == (0, "")
    other = stack.command("seed")
    assert (other.returncode, other.stderr) == (
        1,
        "This stack runs no model: set UPSTREAM_KIND and UPSTREAM_BASE_URL as at its start.\n",
    )


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    answer = privaterouter("up", home=tmp_path / "home", APP_SECRET_KEY="changeme", EDGE_PORT="many")
    assert answer.returncode == 2
    assert [line.split(":")[0] for line in answer.stderr.splitlines()] == ["APP_SECRET_KEY", "EDGE_PORT"]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "command, told", [(("migrate",), "Gave up after 0 s"), (("backup", "-"), "Could not back up the database at")]
)
def test_who_works_on_the_database_needs_nothing_about_upstreams(
    command: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    settings = {
        "UPSTREAM_KIND": "litellm",
        "UPSTREAM_BASE_URL": "http://litellm:4000",
        "DATABASE_URL": "postgresql://owner:x@127.0.0.1:1/x",
        "APP_SECRET_KEY": APP_SECRET,
        "START_WITHIN_S": "0",
    }
    done = privaterouter(*command, home=tmp_path, **settings)
    assert (done.returncode, told in done.stderr) == (1, True), done.stderr
