"""The command line of PrivateRouter: `privaterouter --help`."""

import inspect
from collections.abc import Callable

import typer

from cli import (
    accounts,
    backup,
    books,
    catalogue,
    certificates,
    discovery,
    doctor,
    rerate,
    routing,
    stack,
    users,
    virtual_keys,
)

STACK: tuple[Callable[..., None], ...] = (
    stack.up,
    stack.migrate,
    stack.seed,
    doctor.doctor,
    backup.backup,
    backup.restore,
    certificates.certificates,
    books.reconcile,
)
LEDGER: tuple[Callable[..., None], ...] = (books.verify,)
ADMIN: tuple[Callable[..., None], ...] = (
    users.create_admin,
    users.list_users,
    accounts.set_plan,
    accounts.add_credit,
    catalogue.set_plan_limits,
    catalogue.add_model,
    discovery.discover,
    catalogue.set_price,
    routing.set_upstream,
    routing.set_routes,
    routing.set_fallbacks,
    rerate.rerate,
    users.disable_user,
    virtual_keys.repair_virtual_keys,
)


def build() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="privaterouter",
        help="Runs and operates PrivateRouter. Commands find the stack that runs in PRIVATEROUTER_HOME (.local), "
        "or a deployed one by AUTH_ADDR, CATALOG_ADDR, BILLING_ADDR and USAGE_ADDR.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    admin = typer.Typer(
        help="Users, credits, plans, models and prices of a running stack. Edges follow within two seconds.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    ledger = typer.Typer(help="The books of a running stack.", no_args_is_help=True, rich_markup_mode=None)
    for group, commands in ((app, STACK), (admin, ADMIN), (ledger, LEDGER)):
        for command in commands:
            group.command(help=described(command))(command)
    app.add_typer(admin, name="admin")
    app.add_typer(ledger, name="ledger")
    return app


def described(command: Callable[..., None]) -> str:
    """A command's docstring as its help, the examples left as they are typed."""
    return (inspect.getdoc(command) or "").replace("For example:", "\b\nFor example:")


def main() -> None:
    """Exit status: 0 done, 1 failed with one line on stderr, 2 wrong usage; checks say 3 when they cannot check."""
    build()()


if __name__ == "__main__":
    main()
