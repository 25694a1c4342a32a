"""The settings: whether their names are ours, where each comes from, and whether every process would take them."""

import difflib
import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from cli.checks.check import Check, failed, ok, skipped, warning
from cli.checks.surroundings import Surroundings, in_environment, in_file
from kit.settings import Settings, explained, shared_secrets

PROCESSES: Final = {
    "up": ("deploy.local.settings:StackSettings", ()),
    "migrate": ("cli.migrate:MigrateSettings", ("DATABASE_URL",)),
    "edge": ("edge.settings:EdgeSettings", ("JWT_SECRET",)),
    "auth": ("services.auth.settings:AuthSettings", ("AUTH_LISTEN",)),
    "catalog": ("services.catalog.settings:CatalogSettings", ("CATALOG_LISTEN",)),
    "billing": ("services.billing.settings:BillingSettings", ("BILLING_LISTEN",)),
    "usage": ("services.usage.settings:UsageSettings", ("USAGE_LISTEN",)),
    "seed": ("services.catalog.settings:SeedSettings", ("CATALOG_DATABASE_URL", "UPSTREAM_KIND")),
}
"""The settings of each process, found by name as the migrations are, and which ones tell that it is here."""

_OF_COMPOSE: Final = frozenset(
    f"COMPOSE_{name}"
    for name in (
        *("ANSI", "ENV_FILES", "FILE", "IGNORE_ORPHANS", "PARALLEL_LIMIT", "PATH_SEPARATOR", "PROFILES", "PROGRESS"),
        *("PROJECT_NAME", "REMOVE_ORPHANS"),
    )
)
"""What Docker Compose reads in `.env` for itself.

https://docs.docker.com/compose/how-tos/environment-variables/envvars/
"""
_LIKENESS: Final = 0.8
_IN_COMPOSE: Final = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)")


def configuration(here: Surroundings) -> list[Check]:
    """All about the settings but the secrets."""
    return [*_names(), _sources(), *_overruled(), *_taken(here)]


def known_names() -> frozenset[str]:
    """Every variable that some process reads."""
    return frozenset(name.upper() for place, _ in PROCESSES.values() for name in _class(place).model_fields)


def _class(place: str) -> type[Settings]:
    module, _, name = place.partition(":")
    found: type[Settings] = getattr(importlib.import_module(module), name)
    return found


def _names() -> Iterator[Check]:
    """Misspelt names do nothing, silently."""
    name = "names in .env"
    if not Path(".env").exists():
        yield skipped(name, "there is no .env here")
        return
    known = known_names() | _OF_COMPOSE
    unknown = sorted(set(in_file()) - known - _in_compose_files())
    for one in unknown:
        if meant := difflib.get_close_matches(one, known, n=1, cutoff=_LIKENESS):
            yield failed(name, f"{one} is no setting", f"did you mean {meant[0]}?")
    others = [one for one in unknown if not difflib.get_close_matches(one, known, n=1, cutoff=_LIKENESS)]
    if others:
        yield warning(
            name,
            f"not settings of ours: {', '.join(others)}",
            "look for the right name in .env.example, or ignore this",
        )
    if not unknown:
        yield ok(name, f"{len(in_file())} set, all known")


def _in_compose_files() -> set[str]:
    """Variables that Docker Compose puts into its own files."""
    texts = [file.read_text(errors="replace") for file in Path().glob("*compose*.y*ml")]
    return {name for text in texts for name in _IN_COMPOSE.findall(text)}


def _sources() -> Check:
    known = known_names()
    file = sorted(set(in_file()) & known)
    environment = sorted(name for name in known if in_environment(name))
    parts = []
    if environment:
        parts.append(f"from the environment: {', '.join(environment)}")
    if only := [name for name in file if name not in environment]:
        parts.append(f"from .env: {', '.join(only)}")
    directory = _secrets_directory()
    if directory and (files := _secret_files(Path(directory), known)):
        parts.append(f"from {directory}: {', '.join(files)}")
    return ok("settings", "; ".join(parts) or "all defaults")


def _secret_files(directory: Path, known: frozenset[str]) -> list[str]:
    try:
        return sorted(file.name for file in directory.iterdir() if file.name.upper() in known)
    except OSError:
        return []


def _overruled() -> Iterator[Check]:
    for name, value in in_file().items():
        if name in known_names() and in_environment(name) not in ("", value):
            yield warning(
                "settings",
                f"{name} in .env is overruled by the environment",
                "unset the variable, or take it out of .env",
            )


def _taken(here: Surroundings) -> Iterator[Check]:
    """Each process that would start with these settings says whether it takes them."""
    for process, (place, tell) in PROCESSES.items():
        if process == "up" and not here.running and any(here.targets.values()):
            continue
        if not all(map(_is_set, tell)):
            continue
        problems = _problems(_class(place))
        for problem in problems:
            setting, _, text = problem.partition(": ")
            what, _, mend = text.partition("; ")
            yield failed(f"settings of {process}", f"{setting} {what}", mend or f"set {setting}: see .env.example")
        if not problems:
            yield ok(f"settings of {process}", "accepted")


def _is_set(name: str) -> bool:
    """Whether the environment, `.env` or a file of secrets has it; an empty one counts as none."""
    if in_environment(name) or in_file().get(name):
        return True
    directory = _secrets_directory()
    try:
        return bool(directory and (Path(directory) / name.lower()).read_text().strip())
    except (OSError, UnicodeDecodeError):
        return False


def _secrets_directory() -> str:
    return in_environment("SECRETS_DIR") or in_file().get("SECRETS_DIR", "")


def _problems(cls: type[Settings]) -> Sequence[str]:
    try:
        return list(shared_secrets(cls()))
    except ValidationError as error:
        return list(explained(error))
