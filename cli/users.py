"""Operators' commands about users: make an admin, list, disable."""

import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from cli import connect
from cli.connect import Clients
from cli.errors import CommandError, told
from cli.output import print_json, table
from kit.money import format_usd
from kit.timestamps import from_proto
from privaterouter.auth.v1 import auth_pb2
from privaterouter.billing.v1 import billing_pb2

COLUMNS = ("email", "name", "role", "status", "plan", "balance_usd", "created_at")

Email = Annotated[str, typer.Option(help="The user's e-mail, in any case.")]


def create_admin(
    email: Annotated[str, typer.Option(help="The e-mail to log in with.")],
    name: Annotated[str, typer.Option(help="The name to show.")] = "",
    *,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from a pipe.")] = False,
    existing: Annotated[
        bool, typer.Option("--existing", help="Give the role to a user who signed up already.")
    ] = False,
) -> None:
    """Create a user with the role admin.

    The password (8 to 128 characters) is asked for, or read from PRIVATEROUTER_ADMIN_PASSWORD or a pipe.

    For example:
        privaterouter admin create-admin --email ops@example.com
        pass show ops | privaterouter admin create-admin --email ops@example.com --password-stdin
        privaterouter admin create-admin --email alice@example.com --existing
    """
    if existing:
        user = connect.run(lambda clients: _promote(clients, email))
    else:
        with told():
            password = read_password(from_stdin=password_stdin)
        request = auth_pb2.CreateUserRequest(email=email, password=password, name=name, role=auth_pb2.USER_ROLE_ADMIN)
        user = connect.run(lambda clients: _create(clients, request))
    print(f"{user.email} is an admin.")


def list_users(
    search: Annotated[str, typer.Option(help="Only users whose e-mail or name contains this.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="The highest number of users.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="How many to skip.")] = 0,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of columns.")] = False,
) -> None:
    """List users, newest first, with plan and balance.

    For example:
        privaterouter admin list-users --search alice
        privaterouter admin list-users --json | jq -r '.items[].email'
    """
    request = auth_pb2.ListUsersRequest(search=search, limit=limit, offset=offset)
    rows, total = connect.run(lambda clients: _list(clients, request))
    if as_json:
        print_json({"items": rows, "total": total, "limit": limit, "offset": offset})
        return
    if rows:
        print(table(rows, columns=COLUMNS))
    else:
        print("No such users." if search or total else "No users yet.", file=sys.stderr)
    if total > offset + len(rows):
        print(
            f"{offset + 1} to {offset + len(rows)} of {total}: --offset {offset + len(rows)} for more", file=sys.stderr
        )


def disable_user(email: Email) -> None:
    """Disable a user: all sessions end, all API keys stop.

    For example:
        privaterouter admin disable-user --email mallory@example.com
    """

    async def command(clients: Clients) -> auth_pb2.User:
        user = await find(clients, email)
        return await _update(clients, auth_pb2.User(id=user.id, status=auth_pb2.USER_STATUS_DISABLED), field="status")

    print(f"{connect.run(command).email} is disabled.")


async def find(clients: Clients, email: str) -> auth_pb2.User:
    """The user with this e-mail, in any case; CommandError where there is none."""
    answer = await clients.auth.ListUsers(auth_pb2.ListUsersRequest(email=email.strip(), limit=1))
    if not answer.users:
        raise CommandError(f"There is no user with the e-mail {email}.")
    return answer.users[0]


def read_password(*, from_stdin: bool) -> str:
    """The password from the environment, a pipe, or the keyboard without echo; CommandError where there is none."""
    given = os.environ.get("PRIVATEROUTER_ADMIN_PASSWORD", "")
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
    elif not given and sys.stdin.isatty():
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not given:
        raise CommandError("No password: set PRIVATEROUTER_ADMIN_PASSWORD or use --password-stdin.")
    return given


async def _create(clients: Clients, request: auth_pb2.CreateUserRequest) -> auth_pb2.User:
    return (await clients.auth.CreateUser(request)).user


async def _promote(clients: Clients, email: str) -> auth_pb2.User:
    user = await find(clients, email)
    return await _update(clients, auth_pb2.User(id=user.id, role=auth_pb2.USER_ROLE_ADMIN), field="role")


async def _update(clients: Clients, user: auth_pb2.User, *, field: str) -> auth_pb2.User:
    request = auth_pb2.UpdateUserRequest(user=user)
    request.update_mask.paths.append(field)
    return (await clients.auth.UpdateUser(request)).user


async def _list(clients: Clients, request: auth_pb2.ListUsersRequest) -> tuple[list[Mapping[str, str]], int]:
    answer = await clients.auth.ListUsers(request)
    wanted = billing_pb2.BatchGetAccountsRequest(account_ids=[user.id for user in answer.users])
    found = (await clients.billing.BatchGetAccounts(wanted)).accounts if answer.users else ()
    accounts = {account.account_id: account for account in found}
    return [_row(user, accounts.get(user.id)) for user in answer.users], answer.total


def _row(user: auth_pb2.User, account: billing_pb2.Account | None) -> Mapping[str, str]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": auth_pb2.UserRole.Name(user.role).removeprefix("USER_ROLE_").lower(),
        "status": auth_pb2.UserStatus.Name(user.status).removeprefix("USER_STATUS_").lower(),
        "plan": account.plan_id if account else "",
        "balance_usd": format_usd(account.posted_nanos) if account else "",
        "created_at": from_proto(user.create_time).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
