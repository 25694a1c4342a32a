"""Operators' commands about money and plans of an account."""

import sys
from typing import Annotated
from uuid import uuid4

import grpc
import typer

from cli import connect
from cli.connect import Clients
from cli.users import Email, find
from kit.errors import RemoteError
from kit.money import format_usd, parse_usd
from privaterouter.billing.v1 import billing_pb2

MAYBE_DONE = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)


def dollars(text: str) -> int:
    """An option's amount in nano-dollars; a wrong one is a usage error."""
    try:
        return parse_usd(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from error


def set_plan(
    email: Email,
    plan: Annotated[str, typer.Option(help="The plan's id: free, starter, pro, developer or team.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "",
) -> None:
    """Move an account to a plan, with that plan's included credits (once for each plan and month).

    For example:
        privaterouter admin set-plan --email alice@example.com --plan starter
    """

    async def command(clients: Clients) -> billing_pb2.ChangePlanResponse:
        user = await find(clients, email)
        request = billing_pb2.ChangePlanRequest(account_id=user.id, plan_id=plan, reason=reason)
        return await clients.billing.ChangePlan(request)

    answer = connect.run(command)
    credit = f", ${format_usd(answer.granted_nanos)} of credit added" if answer.granted_nanos else ""
    print(f"{email} is on {answer.account.plan_id}{credit}; balance ${format_usd(answer.account.posted_nanos)}.")


def add_credit(
    email: Email,
    amount_usd: Annotated[str, typer.Option(help="Dollars, up to nine decimals; negative takes credit away.")],
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")],
    idempotency_key: Annotated[
        str, typer.Option(help="Names this change: repeated with the same key it is booked once. Default: a new one.")
    ] = "",
) -> None:
    """Add credit to an account, or take some, as an adjustment in its ledger.

    For example:
        privaterouter admin add-credit --email alice@example.com --amount-usd 5 --reason "Outage of May 3"
        privaterouter admin add-credit --email alice@example.com --amount-usd -1.25 --reason "Booked twice"
    """
    amount_nanos = dollars(amount_usd)
    if amount_nanos == 0:
        raise typer.BadParameter("an amount of 0 changes nothing", param_hint="--amount-usd")
    key = idempotency_key or f"cli-{uuid4()}"

    async def command(clients: Clients) -> billing_pb2.AdjustBalanceResponse:
        user = await find(clients, email)
        request = billing_pb2.AdjustBalanceRequest(
            account_id=user.id, amount_nanos=amount_nanos, reason=reason, idempotency_key=key
        )
        try:
            return await clients.billing.AdjustBalance(request)
        except RemoteError as error:
            if error.code in MAYBE_DONE:
                print(f"To try again without booking it twice, add: --idempotency-key {key}", file=sys.stderr)
            raise

    account = connect.run(command).account
    change = f"{'+' if amount_nanos > 0 else '-'}${format_usd(abs(amount_nanos))}"
    print(f"{email}: {change}; balance ${format_usd(account.posted_nanos)}.")
