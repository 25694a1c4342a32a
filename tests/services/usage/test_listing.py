"""ListUsage and GetUsage: an account's own final records, newest first, with an exact total."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, cast

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kit.database import Connection
from kit.errors import RemoteError
from kit.timestamps import from_proto, to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import store
from tests.services.usage.conftest import Usage, id_at, make_id

DAY = datetime(2026, 5, 15, tzinfo=UTC)
MODELS = ("privaterouter/fast", "privaterouter/embed")
STATUSES = (
    pb.USAGE_STATUS_SUCCESS,
    pb.USAGE_STATUS_ERROR,
    pb.USAGE_STATUS_CANCELLED,
    pb.USAGE_STATUS_INTERRUPTED,
)


async def fill(usage: Usage) -> list[pb.UsageRecord]:
    """48 records over two days, two models, two keys and all statuses, oldest first; and some of no concern."""
    keys = (usage.api_key_id, make_id())
    records = [
        usage.record(
            model_public_name=model,
            api_key_id=key,
            status=status,
            cost_nanos=0 if status == pb.USAGE_STATUS_ERROR else 16_000,
            start_time=to_proto(DAY + timedelta(hours=hour)),
            request_id=id_at(DAY + timedelta(hours=hour, milliseconds=number)),
        )
        for number, (hour, model, key, status) in enumerate(product((0, 23, 24), MODELS, keys, STATUSES))
    ]
    await usage.send(*records, usage.record(account_id=make_id()), usage.open())
    return records


def ids(records: Any) -> list[str]:
    return [record.request_id for record in records]


async def test_an_account_without_records_has_an_empty_list(usage: Usage) -> None:
    assert await usage.list() == pb.ListUsageResponse()


async def test_the_list_is_newest_first_with_the_total_of_all_pages(usage: Usage) -> None:
    newest_first = ids(reversed(await fill(usage)))
    answer = await usage.list()
    assert (ids(answer.records), answer.total) == (newest_first[:20], 48)
    answer = await usage.list(limit=15, offset=40)
    assert (ids(answer.records), answer.total) == (newest_first[40:], 48)
    answer = await usage.list(limit=1_000)
    assert (ids(answer.records), answer.total) == (newest_first, 48)
    assert (await usage.list(offset=48)) == pb.ListUsageResponse(total=48)


async def test_pages_by_id_read_all_once_while_new_records_come(usage: Usage) -> None:
    newest_first = ids(reversed(await fill(usage)))
    read: list[str] = []
    page = await usage.list(limit=7)
    while page.records:
        read += ids(page.records)
        await usage.send(usage.record())
        page = await usage.list(limit=7, before_request_id=read[-1])
        assert page.total == 0
    assert read == newest_first


FILTERS: list[dict[str, Any]] = [
    {"model_public_name": MODELS[1]},
    {"model_public_name": "privaterouter/none"},
    {"status": pb.USAGE_STATUS_SUCCESS},
    {"status": pb.USAGE_STATUS_ERROR},
    {"status": pb.USAGE_STATUS_INTERRUPTED, "model_public_name": MODELS[0]},
    {"from_time": to_proto(DAY + timedelta(days=1))},
    {"to_time": to_proto(DAY + timedelta(days=1))},
    {"from_time": to_proto(DAY), "to_time": to_proto(DAY + timedelta(days=1))},
    {"from_time": to_proto(DAY), "to_time": to_proto(DAY)},
    {"from_time": to_proto(DAY + timedelta(hours=1))},
    {"from_time": to_proto(DAY + timedelta(hours=23)), "to_time": to_proto(DAY + timedelta(hours=24))},
    {"to_time": to_proto(DAY + timedelta(hours=23, microseconds=1)), "status": pb.USAGE_STATUS_SUCCESS},
    {"from_time": to_proto(DAY - timedelta(hours=5)), "to_time": to_proto(DAY + timedelta(hours=25))},
    {"from_time": to_proto(DAY + timedelta(hours=5)), "to_time": to_proto(DAY + timedelta(hours=25))},
    {"from_time": to_proto(datetime(9999, 12, 31, 23, tzinfo=UTC))},
    {"to_time": to_proto(datetime(1900, 1, 1, tzinfo=UTC))},
    {"status": pb.USAGE_STATUS_SUCCESS, "from_time": to_proto(DAY), "model_public_name": MODELS[0]},
]


def matches(record: pb.UsageRecord, wanted: pb.UsageFilter) -> bool:
    """What the contract says of filters, without a database."""
    start = from_proto(record.start_time)
    return (
        wanted.model_public_name in ("", record.model_public_name)
        and wanted.api_key_id in ("", record.api_key_id)
        and wanted.status in (0, record.status)
        and (not wanted.HasField("from_time") or start >= from_proto(wanted.from_time))
        and (not wanted.HasField("to_time") or start < from_proto(wanted.to_time))
    )


async def test_every_filter_gives_what_matches_and_its_exact_total(usage: Usage) -> None:
    """Totals come from roll-ups or are counted; which must not show."""
    records = await fill(usage)
    for fields, key in product(FILTERS, ("", usage.api_key_id)):
        wanted = pb.UsageFilter(**fields, api_key_id=key)
        expected = ids(record for record in reversed(records) if matches(record, wanted))
        answer = await usage.list(filter=wanted, limit=1_000)
        assert (ids(answer.records), answer.total) == (expected, len(expected)), wanted
        answer = await usage.list(filter=wanted, limit=2, offset=1)
        assert (ids(answer.records), answer.total) == (expected[1:3], len(expected)), wanted


BAD_LISTS: list[tuple[dict[str, Any], str, str]] = [
    ({"filter": {"status": pb.USAGE_STATUS_OPEN}}, "INVALID_FILTER", "status"),
    ({"filter": {"status": 99}}, "INVALID_FILTER", "status"),
    ({"filter": {"api_key_id": "mine"}}, "INVALID_FILTER", "api_key_id"),
    ({"filter": {"model_public_name": "\0"}}, "INVALID_FILTER", "model_public_name"),
    ({"filter": {"from_time": Timestamp(seconds=2**62)}}, "INVALID_FILTER", "from_time"),
    ({"filter": {"to_time": Timestamp(seconds=-62_135_596_800)}}, "INVALID_FILTER", "to_time"),
    ({"filter": {"from_time": Timestamp(seconds=2), "to_time": Timestamp(seconds=1)}}, "INVALID_FILTER", "from_time"),
    ({"limit": 1_001}, "INVALID_ARGUMENT", "limit"),
    ({"limit": -1}, "INVALID_ARGUMENT", "limit"),
    ({"offset": -1}, "INVALID_ARGUMENT", "offset"),
    ({"before_request_id": "1"}, "INVALID_ARGUMENT", "before_request_id"),
    ({"before_request_id": make_id(), "offset": 1}, "INVALID_ARGUMENT", "offset"),
    ({"account_id": ""}, "INVALID_ARGUMENT", "account_id"),
]


@pytest.mark.parametrize("arguments,reason,field", BAD_LISTS, ids=map(str, range(len(BAD_LISTS))))
async def test_a_list_that_makes_no_sense_is_refused(
    usage: Usage, arguments: dict[str, Any], reason: str, field: str
) -> None:
    with pytest.raises(RemoteError) as caught:
        await usage.stub.ListUsage(pb.ListUsageRequest(**{"account_id": usage.account_id} | arguments))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert caught.value.metadata == {"field": field}


async def test_another_accounts_record_is_not_found(usage: Usage) -> None:
    sent = usage.record()
    await usage.send(sent)
    for account_id, request_id in ((make_id(), sent.request_id), (usage.account_id, make_id())):
        with pytest.raises(RemoteError) as caught:
            await usage.stub.GetUsage(pb.GetUsageRequest(account_id=account_id, request_id=request_id))
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.NOT_FOUND, "USAGE_NOT_FOUND")
        assert caught.value.domain == "usage.privaterouter"


@pytest.mark.parametrize("status", [pb.USAGE_STATUS_UNSPECIFIED, pb.USAGE_STATUS_SUCCESS])
async def test_pages_fit_together_from_whichever_end_they_are_read(
    usage: Usage, status: pb.UsageStatus.ValueType
) -> None:
    sent = [usage.record() for _ in range(7)]
    await usage.send(*sent)
    newest_first = [record.request_id for record in sent[::-1]]
    for offset in range(9):
        page = await usage.list(limit=3, offset=offset, filter=pb.UsageFilter(status=status))
        assert [record.request_id for record in page.records] == newest_first[offset : offset + 3]
        assert page.total == 7


# Successes only, half of them of the same account, the others of as many accounts as there are.
COPIES = """
INSERT INTO usage.usage_records
SELECT (jsonb_populate_record(record, jsonb_build_object(
    'request_id', overlay(record.request_id::text PLACING lpad(to_hex(n), 4, '0') FROM 25),
    'account_id', CASE WHEN n % 2 = 0 THEN record.account_id ELSE gen_random_uuid() END,
    'start_time', record.start_time + n * interval '1 minute'))).*
FROM usage.usage_records AS record, generate_series(1, 1000) AS n WHERE status = 'success'
ON CONFLICT DO NOTHING
"""


class Explainer:
    """Stands in for a connection: keeps the plans of statements."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self.plan = ""

    async def fetch(self, statement: str, *values: object) -> list[Any]:
        self.plan = "\n".join(row[0] for row in await self._usage.admin.fetch(f"EXPLAIN {statement}", *values))
        return []

    async def fetchval(self, statement: str, *values: object) -> Any:
        await self.fetch(statement, *values)


async def test_lists_and_counts_read_only_what_they_ask_for(usage: Usage) -> None:
    """Else they would grow slower with other people's records, and with one's own of another kind."""
    await fill(usage)
    await usage.admin.execute(COPIES)
    await usage.admin.execute("ANALYZE usage.usage_records")
    explainer = Explainer(usage)
    connection = cast(Connection, explainer)
    account: dict[str, object] = {"account_id =": usage.account_id}
    for conditions, index in (
        ({}, "list_idx"),
        ({"api_key_id =": make_id()}, "api_key_id_request_id_idx"),
        ({"model_public_name =": "privaterouter/rare"}, "account_id_model_public_name_request__idx"),
        ({"status =": "interrupted"}, "unsuccessful_idx"),
    ):
        await store.final_records(connection, account | conditions, limit=20, offset=0)
        assert index in explainer.plan, explainer.plan
    await store.count_of_final_records(connection, account | {"start_time >=": DAY + timedelta(minutes=2_400)})
    assert "account_id_start_time_idx" in explainer.plan, explainer.plan
    await usage.admin.execute("TRUNCATE usage.usage_records, usage.usage_daily, usage.model_daily")
