"""The command that looks at a whole installation and says what to mend."""

import asyncio
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Final

import typer

from cli.checks.check import Check, State, ok, skipped
from cli.checks.configuration import configuration
from cli.checks.databases import postgres, schemas, valkey
from cli.checks.disk import disk
from cli.checks.secrets import secrets
from cli.checks.services import edge, services
from cli.checks.surroundings import DoctorSettings, Surroundings, look_around
from cli.checks.upstreams import upstreams
from cli.errors import told
from cli.output import print_json
from kit.settings import load

BOOKS: Final = "not looked at here: `privaterouter ledger verify` checks R1 to R3, `privaterouter reconcile` R1 to R6"


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="JSON instead of lines.")] = False) -> None:
    """Look at everything that can be seen from here, and say what to mend: one line for each thing.

    Settings and where they come from, secrets, PostgreSQL and its schemas, Valkey, the services, the upstreams of the
    catalogue, clocks, and the journal's disk. It changes nothing. What is set in this environment and in .env is what
    it knows; without addresses there, it looks at the embedded stack that runs in PRIVATEROUTER_HOME.
    Exit status: 0 nothing has failed (there may be warnings), 1 something has.

    For example:
        privaterouter doctor
        privaterouter doctor --json | jq '.checks[] | select(.state == "failed")'
    """
    with told():
        found = asyncio.run(_examine(look_around(load(DoctorSettings))))
    has_failed = any(check.state is State.FAILED for check in found)
    if as_json:
        checks = [
            {"name": check.name, "state": check.state.value, "what": check.what, "mend": check.mend} for check in found
        ]
        print_json({"ok": not has_failed, "checks": checks})
    else:
        for check in found:
            print(check.line)
    if has_failed:
        raise typer.Exit(1)


async def _examine(here: Surroundings) -> Sequence[Check]:
    asked = await asyncio.gather(
        postgres(here), schemas(here), valkey(here), services(here), edge(here), upstreams(here)
    )
    return [
        ok("release", metadata.version("privaterouter")),
        *configuration(here),
        *secrets(here),
        *(check for checks in asked for check in checks),
        *disk(here),
        skipped("books", BOOKS),
    ]
