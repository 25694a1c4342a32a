"""The example of settings names every variable that some process reads, explains it, and gives no secret away."""

import importlib
import inspect
import re
from pathlib import Path

from kit.settings import Settings

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
MODULES = (
    "cli.migrate",
    "cli.settings",
    "deploy.compose.settings",
    "deploy.local.settings",
    "edge.settings",
    "services.auth.settings",
    "services.billing.settings",
    "services.catalog.settings",
    "services.usage.settings",
)
# Only ever set by the embedded stack or by docker-compose.yml for their own processes.
INTERNAL = {f"EMBEDDED_{kind}_{what}" for kind in ("CHAT", "EMBED") for what in ("URL", "MODEL")} | {
    "EDGE_PORTS_FILE",
    "LITELLM_DATABASE_URL",
    "SECRETS_ROOT",
    "SUPERUSER_DATABASE_URL",
}


def read_by_processes() -> set[str]:
    classes = [
        found
        for module in MODULES
        for _, found in inspect.getmembers(importlib.import_module(module), inspect.isclass)
        if issubclass(found, Settings)
    ]
    return {name.upper() for found in classes for name in found.model_fields}


def read_by_docker_compose() -> set[str]:
    """Those of the file, and the one that says which profiles of it are meant."""
    text = (ROOT / "docker-compose.yml").read_text()
    return set(re.findall(r"\$\{([A-Z0-9_]+)", text)) | {"COMPOSE_PROFILES"}


def named_in_the_example() -> list[str]:
    return re.findall(r"^([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)


def test_it_names_every_variable_once_and_no_other() -> None:
    named = named_in_the_example()
    assert sorted(named) == sorted((read_by_processes() | read_by_docker_compose()) - INTERNAL)


def test_every_variable_has_its_line_of_explanation_and_is_empty() -> None:
    lines = EXAMPLE.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[A-Z0-9_]+=", line):
            assert line.endswith("="), line
            assert re.match(r"# \S.+[.):a-z0-9]$", lines[number - 1]), line


def test_it_says_what_docker_compose_takes_of_the_settings_of_processes() -> None:
    shared = read_by_docker_compose() & read_by_processes()
    secrets, named = EXAMPLE.split("# --- The stack in containers", 1)
    taken = set(re.findall(r"[A-Z_]{4,}", named.split("\n\n", 1)[0]))
    assert taken == {name for name in shared if f"\n{name}=" not in secrets}
