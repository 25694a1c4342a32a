"""All that a run has left behind, read once it is quiet: records, charges, balances, leases, journals, the tally."""

import asyncio
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from privaterouter.billing.v1 import billing_pb2
from tests.faults.cluster import EDGES, Cluster

QUIET_WITHIN_S = 60.0
"""Twice what the money path may take, scaled: 60 s and 90 s after a lease's end, and a minute for what is left."""


@dataclass(frozen=True)
class Entry:
    """What the upstream knows of one request."""

    nonce: str
    prompt_tokens: int
    output_tokens: int
    finished: bool
    aborted: bool


@dataclass(frozen=True)
class Record:
    """A usage record."""

    request_id: str
    account_id: str
    status: str
    input_tokens: int
    output_tokens: int
    cost_nanos: int
    estimated: bool
    revision: int


@dataclass(frozen=True)
class Books:
    """Everything about some accounts."""

    tally: dict[str, Entry]
    """By request id."""
    records: dict[str, Record]
    charges: dict[str, list[int]]
    """Nano-dollars taken, by request id."""
    posted_nanos: dict[str, int]
    leased_nanos: dict[str, int]
    entries_nanos: dict[str, int]
    """The sum of each account's ledger entries."""
    charged_nanos: dict[str, int]
    absorbed_nanos: int
    unbalanced: int
    """Transactions whose entries do not sum to zero."""


async def tally(cluster: Cluster, *, nonce: str = "", asked: str = "") -> dict[str, Entry]:
    """The upstreams' own count, by request id; of one nonce, of those that begin with `asked`, or of all.

    Of a request that several were asked for, what was made in the end.
    """
    query = {"asking": nonce} if nonce else {"from": asked}
    found: dict[str, dict[str, Any]] = {}
    async with aiohttp.ClientSession() as session:
        for upstream in cluster.upstreams:
            async with session.get(f"{upstream}/tally", params=query) as answer:
                for request_id, entry in (await answer.json()).items():
                    found[request_id] = max(entry, found.get(request_id, entry), key=_how_far)
    return {
        request_id: Entry(
            nonce=entry["body"]["messages"][0]["content"],
            prompt_tokens=entry["prompt_tokens"],
            output_tokens=entry["output_tokens"],
            finished=entry["finished"],
            aborted=entry["aborted"],
        )
        for request_id, entry in found.items()
    }


def _how_far(entry: dict[str, Any]) -> tuple[bool, int]:
    return entry["finished"], entry["output_tokens"]


async def quiet(cluster: Cluster, *, within_s: float = QUIET_WITHIN_S) -> float:
    """Waits until nothing is under way any more; seconds that it took. AssertionError with what still is."""
    begun_s = time.monotonic()
    unrest = ["not asked yet"]
    while unrest:
        assert time.monotonic() - begun_s < within_s, f"not quiet after {within_s:.0f} s: {'; '.join(unrest)}"
        await asyncio.sleep(0.1)
        unrest = await _unrest(cluster)
    return time.monotonic() - begun_s


async def _unrest(cluster: Cluster) -> list[str]:
    try:
        connection = await cluster.connect()
    except (OSError, asyncpg.PostgresError) as error:
        return [repr(error)]
    try:
        counts = await connection.fetchrow(
            """
            SELECT (SELECT count(*) FROM usage.usage_records WHERE status = 'open') AS "open records",
                   (SELECT count(*) FROM usage.outbox) AS "charges on their way",
                   (SELECT count(*) FROM billing.leases WHERE state <> 'released') AS "leases",
                   (SELECT coalesce(sum(leased_nanos), 0) FROM billing.accounts) AS "leased nanos",
                   (SELECT coalesce(sum(leased_nanos), 0) FROM billing.key_months) AS "nanos leased to keys",
                   (SELECT count(*) FROM auth.users WHERE id NOT IN (SELECT account_id FROM billing.accounts))
                       AS "users without an account"
            """
        )
    finally:
        await connection.close()
    assert counts
    unrest = [f"{count} {name}" for name, count in counts.items() if count]
    alive = [edge for edge in EDGES if cluster.exit_code(edge) is None]
    rows = {edge: await gauge(cluster, edge, "edge_journal_rows") for edge in alive}
    unrest += [f"{count} rows in the journal of {edge}" for edge, count in rows.items() if count]
    files = {path.name for edge in EDGES for path in cluster.journal_dir(edge).glob("*.journal*")}
    journals = [name for name in files if name.endswith(".journal")]
    if len(journals) > len(alive):
        unrest.append(f"{len(journals)} journals of {len(alive)} edges")
    if odd := [name for name in files if name.endswith((".parked", ".broken"))]:
        unrest.append(f"set aside: {odd}")
    return unrest


async def gauge(cluster: Cluster, edge: str, name: str) -> int:
    """A figure of an edge as it exports it; -1 where it does not answer."""
    try:
        async with aiohttp.ClientSession() as session, session.get(cluster.metrics_url(edge)) as answer:
            found = re.search(rf"^{name} ([0-9.]+)$", await answer.text(), re.MULTILINE)
    except (aiohttp.ClientError, OSError):
        return -1
    return int(float(found[1])) if found else -1


async def read(cluster: Cluster, account_ids: Collection[str], *, asked: str = "") -> Books:
    """The books of these accounts, each table in the same snapshot; of the tally what begins with `asked`."""
    seen = await tally(cluster, asked=asked)
    ids = [UUID(account_id) for account_id in account_ids]
    connection = await cluster.connect()
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            records = await connection.fetch(
                "SELECT request_id::text, account_id::text, status, input_tokens, output_tokens, cost_nanos, estimated,"
                " revision FROM usage.usage_records WHERE account_id = ANY($1)",
                ids,
            )
            charges = await connection.fetch(
                "SELECT request_id::text, account_id::text, -amount_nanos AS nanos FROM billing.ledger_transactions"
                " WHERE kind = 'charge' AND account_id = ANY($1)",
                ids,
            )
            accounts = await connection.fetch(
                """
                SELECT account_id::text, posted_nanos, leased_nanos,
                       (SELECT coalesce(sum(amount_nanos), 0)::bigint FROM billing.ledger_entries
                        WHERE ledger_entries.account_id = accounts.account_id) AS entries_nanos
                FROM billing.accounts WHERE account_id = ANY($1)
                """,
                ids,
            )
            absorbed = await connection.fetchval(
                "SELECT -coalesce(sum(amount_nanos), 0)::bigint FROM billing.ledger_entries"
                " WHERE account_kind = 'absorbed'"
            )
            unbalanced = await connection.fetchval(
                "SELECT count(*) FROM (SELECT 1 FROM billing.ledger_entries"
                " GROUP BY transaction_id HAVING sum(amount_nanos) <> 0) AS t"
            )
    finally:
        await connection.close()
    by_request: dict[str, list[int]] = {}
    charged = dict.fromkeys(account_ids, 0)
    for row in charges:
        by_request.setdefault(row["request_id"], []).append(row["nanos"])
        charged[row["account_id"]] += row["nanos"]
    return Books(
        tally=seen,
        records={row["request_id"]: Record(**row) for row in records},
        charges=by_request,
        posted_nanos={row["account_id"]: row["posted_nanos"] for row in accounts},
        leased_nanos={row["account_id"]: row["leased_nanos"] for row in accounts},
        entries_nanos={row["account_id"]: row["entries_nanos"] for row in accounts},
        charged_nanos=charged,
        absorbed_nanos=absorbed,
        unbalanced=unbalanced,
    )


async def charges(cluster: Cluster, account_ids: Collection[str]) -> list[billing_pb2.Charge]:
    """Every charge of these accounts as it is in the ledger; of a revision, that is the difference."""
    connection = await cluster.connect()
    try:
        rows = await connection.fetch(
            """
            SELECT request_id::text, revision, account_id::text, api_key_id::text,
                   coalesce(lease_id::text, '') AS lease_id, -amount_nanos AS amount_nanos
            FROM billing.ledger_transactions WHERE kind = 'charge' AND account_id = ANY($1)
            """,
            [UUID(account_id) for account_id in account_ids],
        )
    finally:
        await connection.close()
    return [billing_pb2.Charge(**row) for row in rows]
