"""The operator's command that charges a model's requests of a time span anew, at another price."""

import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli import connect
from cli.connect import Clients
from cli.errors import CommandError
from cli.tally import Tally, report
from kit.errors import RemoteError
from kit.money import cost_nanos, format_price, share_nanos
from kit.timestamps import to_proto
from privaterouter.auth.v1 import auth_pb2
from privaterouter.billing.v1 import billing_pb2
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.usage.v1 import usage_pb2

PAGE = 500
"""Requests of one call: few enough that their accounts are locked for some milliseconds only."""

PROGRESS_EVERY_S = 2.0


def moment(text: str) -> datetime:
    """A point in time with its zone, or a UTC day for its beginning; anything else is a usage error."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and len(text) == len("2026-05-15"):
        return found.replace(tzinfo=UTC)
    if found is None or found.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is neither a day such as 2026-05-15 nor a time such as 2026-05-15T06:00:00Z"
        )
    return found.astimezone(UTC)


def rerate(
    model: Annotated[str, typer.Option(help="The model's public name.")],
    from_time: Annotated[str, typer.Option("--from", help="Requests from this time on, or from this UTC day on.")],
    to_time: Annotated[str, typer.Option("--to", help="Requests before this time, or before this UTC day.")],
    price_version: Annotated[str, typer.Option(help="The price to charge. Default: the one that is current now.")] = "",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be corrected.")] = False,
    top: Annotated[int, typer.Option(min=0, max=100, help="How many accounts to name, most changed first.")] = 10,
) -> None:
    """Charge a model's requests anew at another price, and book the differences as adjustments.

    Every charged request of the time span that the model answered is recomputed from its tokens. Usage records stay as
    they are. Running it again corrects only what is not corrected yet. What an account has not available is not taken,
    and said.

    For example:
        privaterouter admin rerate --model privaterouter/fast --from 2026-05-01 --to 2026-05-02T12:00:00Z --dry-run
    """
    start, end = moment(from_time), moment(to_time)
    if start >= end:
        raise typer.BadParameter("the time span is empty", param_hint="--to")
    span = usage_pb2.ListModelUsageRequest(
        model_public_name=model, from_time=to_proto(start), to_time=to_proto(end), limit=PAGE
    )

    async def command(clients: Clients) -> tuple[catalog_pb2.Price, Tally, dict[str, str]]:
        price = await chosen_price(clients, model, version_id=price_version)
        tally = await correct_all(clients, span, price=price, dry_run=dry_run, now_s=time.monotonic)
        return price, tally, await emails(clients, tally.most_changed(top))

    price, tally, names = connect.run(command)
    print(
        f"{model} at ${format_price(price.input_nanos_per_mtok)} for a million prompt tokens, "
        f"${format_price(cached(price))} cached, ${format_price(cache_write(price))} written into a cache, "
        f"${format_price(price.output_nanos_per_mtok)} output "
        f"(price version {price.version_id})\n"
    )
    print(report(tally, names=names, dry_run=dry_run))


async def chosen_price(clients: Clients, model: str, *, version_id: str) -> catalog_pb2.Price:
    """The model's price version of this id, or its current one; CommandError where it has no such version."""
    answer = await clients.catalog.ListModelPrices(catalog_pb2.ListModelPricesRequest(public_name=model))
    for price in answer.prices:
        if price.version_id == (version_id or answer.current_version_id):
            return price
    known = ", ".join(price.version_id for price in answer.prices[:5])
    raise CommandError(f"{model} has no price version {version_id}. Its newest: {known}.")


async def correct_all(
    clients: Clients,
    span: usage_pb2.ListModelUsageRequest,
    *,
    price: catalog_pb2.Price,
    dry_run: bool,
    now_s: Callable[[], float],
) -> Tally:
    """Corrects page by page, telling on standard error every two seconds how far it is; what became of all."""
    tally = Tally()
    told_s = now_s()
    try:
        async for records in pages(clients, span):
            costs = [should_cost(record, price) for record in records]
            request = billing_pb2.CorrectChargesRequest(
                corrections=[
                    billing_pb2.ChargeCorrection(
                        request_id=record.request_id, charged_nanos=record.cost_nanos, should_cost_nanos=cost
                    )
                    for record, cost in zip(records, costs, strict=True)
                ],
                price_version_id=price.version_id,
                description=f"Price correction: {span.model_public_name}",
                dry_run=dry_run,
                dry_run_changes=tally.changes_of(record.account_id for record in records) if dry_run else (),
            )
            results = (await clients.billing.CorrectCharges(request)).results
            for cost, result in zip(costs, results, strict=True):
                tally.add(result, should_cost_nanos=cost)
            if now_s() - told_s >= PROGRESS_EVERY_S:
                told_s = now_s()
                print(f"{tally.requests:,} requests so far ...", file=sys.stderr, flush=True)
    except RemoteError:
        print(
            f"Stopped after {tally.requests:,} requests. Run the same again: nothing is corrected twice.",
            file=sys.stderr,
        )
        raise
    return tally


async def emails(clients: Clients, account_ids: Sequence[str]) -> dict[str, str]:
    """The e-mail of each account, in their order; its id where auth cannot say, since there must be a report."""
    found: dict[str, str] = {}
    for account_id in account_ids:
        try:
            found[account_id] = (await clients.auth.GetUser(auth_pb2.GetUserRequest(user_id=account_id))).user.email
        except RemoteError:
            found[account_id] = account_id
    return found


async def pages(
    clients: Clients, span: usage_pb2.ListModelUsageRequest
) -> AsyncIterator[Sequence[usage_pb2.UsageRecord]]:
    """The charged requests of a time span, a page in memory at a time."""
    request = usage_pb2.ListModelUsageRequest()
    request.CopyFrom(span)
    while records := (await clients.usage.ListModelUsage(request)).records:
        yield records
        if len(records) < request.limit:
            return
        request.after_request_id = records[-1].request_id


def should_cost(record: usage_pb2.UsageRecord, price: catalog_pb2.Price) -> int:
    """Nano-dollars of a request at a price; of one that was charged in part only, the same part."""
    cost = cost_nanos(
        (
            record.input_tokens - record.cached_input_tokens - record.cache_write_input_tokens,
            price.input_nanos_per_mtok,
        ),
        (record.cached_input_tokens, cached(price)),
        (record.cache_write_input_tokens, cache_write(price)),
        (record.output_tokens, price.output_nanos_per_mtok),
    )
    if not record.uncharged_nanos:
        return cost
    return share_nanos(cost, part=record.cost_nanos, whole=record.cost_nanos + record.uncharged_nanos)


def cached(price: catalog_pb2.Price) -> int:
    """Nano-dollars for a million cached prompt tokens."""
    given = price.HasField("cached_input_nanos_per_mtok")
    return price.cached_input_nanos_per_mtok if given else price.input_nanos_per_mtok


def cache_write(price: catalog_pb2.Price) -> int:
    """Nano-dollars for a million prompt tokens that are written into a cache."""
    given = price.HasField("cache_write_input_nanos_per_mtok")
    return price.cache_write_input_nanos_per_mtok if given else price.input_nanos_per_mtok
