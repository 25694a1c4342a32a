"""The secrets: strong, each its own, and in files that nobody else reads; and the certificate of the command line."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from cli.checks.check import Check, failed, ok, skipped, warning
from cli.checks.surroundings import OWN_SECRETS, Surroundings
from kit import tls
from kit.clock import utc_now
from kit.settings import weakness

_RENEWED_BY: Final = timedelta(days=14)
_OPENSSL: Final = "openssl rand -hex 32"
_LITELLM: Final = ("LITELLM_MASTER_KEY", "LITELLM_MASTER_KEY_NEXT")
_FROM_EXAMPLES: Final = frozenset({"sk-1234", "sk-12345", "anything"})


def secrets(here: Surroundings) -> list[Check]:
    """All about them that can be seen here."""
    return [*_own(here.secrets), *_of_litellm(here.secrets), *_files(here), *certificate(here)]


def _own(given: dict[str, str]) -> Iterator[Check]:
    for name in OWN_SECRETS:
        value = given.get(name, "")
        if not value:
            yield skipped(name, "is not known here")
        elif weak := weakness(value):
            yield failed(name, weak, f"make one with: {_OPENSSL}")
        elif equal := [other for other, theirs in given.items() if theirs == value and other != name]:
            yield failed(name, f"is the same as {' and '.join(equal)}", f"make one with: {_OPENSSL}")
        else:
            yield ok(name, "is strong and its own")


def _of_litellm(given: dict[str, str]) -> Iterator[Check]:
    for name in _LITELLM:
        if given.get(name) in _FROM_EXAMPLES:
            yield failed(name, "is the one of LiteLLM's examples", "change it: docs/secrets.md")


def _files(here: Surroundings) -> Iterator[Check]:
    kept = here.home.secrets if here.running else None
    for file in (Path(".env"), kept):
        if file is None or not file.exists():
            continue
        if file.stat().st_mode & 0o077:
            yield warning(f"{file.name} on disk", f"others may read {file}", f"chmod 600 {file}")
        else:
            yield ok(f"{file.name} on disk", "readable by its owner only")


def certificate(here: Surroundings) -> Iterator[Check]:
    """That of the command line, where the services want one."""
    name = "certificate"
    if here.tls_dir is None:
        return
    try:
        found = tls.read(here.tls_dir, now=utc_now())
    except tls.TlsError as error:
        yield failed(name, str(error), "see docs/certificates.md")
        return
    left = found.expires - utc_now()
    what = f"of {found.identity} in {here.tls_dir}, good for {left.days} days"
    if left < _RENEWED_BY:
        yield warning(name, what, "it should have been renewed by now: see docs/certificates.md")
    else:
        yield ok(name, what)
