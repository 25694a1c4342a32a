"""The command that makes the certificates by which services know each other."""

from pathlib import Path
from typing import Annotated

import typer

from cli.connect import SERVICES
from cli.errors import CommandError, told
from deploy import certificates as made
from kit.clock import utc_now

CALLERS = ("edge", "operator")
"""Who only calls; `operator` is the command line."""


def certificates(
    directory: Annotated[Path, typer.Argument(help="Where they are kept; made where absent.")],
    namespace: Annotated[
        str, typer.Option(help="A Kubernetes namespace: services also answer to auth.NAMESPACE.svc and so on.")
    ] = "",
) -> None:
    """Make the certificates of all processes, and renew those that end in less than 30 days.

    Makes an authority in DIRECTORY/authority once, whose key no process needs, and for edge, auth, catalog, billing,
    usage and operator (this command line) a folder each: give it to that process alone, as its TLS_DIR. Processes read
    their files again when they change. Run it at every start, or every day; certificates last a year.

    For example:
        privaterouter certificates /certificates
    """
    with told():
        try:
            renewed = made.bring_up_to_date(directory, names(namespace), now=utc_now())
        except (made.CertificatesError, OSError) as error:
            raise CommandError(f"No certificates were made: {error}") from error
    print(f"{directory}: {'new for ' + ', '.join(renewed) if renewed else 'up to date'}")


def names(namespace: str) -> dict[str, list[str]]:
    """The host names of each identity: those of services in Docker Compose or a cluster, and none of who only calls."""
    domains = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local") if namespace else ("",)
    return {**{caller: [] for caller in CALLERS}, **{name: [name + domain for domain in domains] for name in SERVICES}}
