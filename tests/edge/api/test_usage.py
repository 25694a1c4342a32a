"""Usage: the list and its filters, one call, sums, CSV, and nobody else's."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from edge.api import usage_csv
from edge.api.csv_text import NEWEST
from kit.ids import IdFactory
from kit.timestamps import to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from tests.edge.api.conftest import Application, Person, error_of

START = datetime(2026, 5, 15, 6, 25, 33, tzinfo=UTC)
KEY = "01980000-0000-7000-8000-000000000001"
OTHER_KEY = "01980000-0000-7000-8000-000000000002"
NOBODYS = "00000000-0000-7000-8000-000000000000"


def record(person: Person, start: datetime = START, **changes: Any) -> pb.UsageRecord:
    """A call of 14 tokens in and 9 out, as the quickstart shows one."""
    ids = IdFactory(lambda: int(start.timestamp()) * 1_000_000_000)
    values: dict[str, Any] = {
        "request_id": str(ids()),
        "worker_id": str(ids()),
        "account_id": person.id,
        "api_key_id": KEY,
        "model_public_name": "privaterouter/fast",
        "upstream_name": "default",
        "upstream_model": "gemma4:latest",
        "endpoint": "chat.completions",
        "status": pb.USAGE_STATUS_SUCCESS,
        "input_tokens": 14,
        "output_tokens": 9,
        "price_version_id": str(ids()),
        "input_nanos_per_mtok": 100_000_000,
        "cached_input_nanos_per_mtok": 50_000_000,
        "output_nanos_per_mtok": 300_000_000,
        "cost_nanos": 4_100,
        "held_nanos": 10_000,
        "start_time": to_proto(start),
        "latency_ms": 412,
        "http_status": 200,
        "finish_reason": "stop",
    }
    return pb.UsageRecord(**values | changes)


async def store(app: Application, *records: pb.UsageRecord) -> list[str]:
    """Record them, as an edge does; their ids."""
    for one in records:
        request = pb.RecordUsageRequest(worker_id=one.worker_id, records=[one], alive=False)
        (result,) = (await app.deps.clients.usage.RecordUsage(request)).results
        assert result.outcome == pb.RECORD_OUTCOME_TAKEN, result.detail
    return [one.request_id for one in records]


async def test_a_call_is_listed_as_the_quickstart_shows(app: Application, alice: Person) -> None:
    (request_id,) = await store(app, record(alice))
    answer = (await alice.http.get("/api/usage?limit=20")).json()
    assert (answer["total"], answer["limit"], answer["offset"]) == (1, 20, 0)
    assert answer["items"][0] == {
        "id": request_id,
        "model_public_name": "privaterouter/fast",
        "served_model_public_name": None,
        "api_key_id": KEY,
        "endpoint": "chat.completions",
        "input_tokens": 14,
        "cached_input_tokens": 0,
        "cache_write_input_tokens": 0,
        "output_tokens": 9,
        "reasoning_tokens": 0,
        "cost_usd": "0.0000041",
        "uncharged_usd": "0.00",
        "latency_ms": 412,
        "first_token_ms": None,
        "status": "success",
        "http_status": 200,
        "error_code": None,
        "finish_reason": "stop",
        "streamed": False,
        "estimated": False,
        "created_at": "2026-05-15T06:25:33Z",
    }


async def test_a_call_shows_how_its_cost_came_about_and_the_lines_add_up(app: Application, alice: Person) -> None:
    # 0.5 + 0.05 + 0.12 + 0.9 nanos: each alone would be rounded up to 1, their sum is 2.
    uneven = record(
        alice,
        input_tokens=13,
        cached_input_tokens=1,
        cache_write_input_tokens=2,
        output_tokens=3,
        input_nanos_per_mtok=50_000,
        cached_input_nanos_per_mtok=50_000,
        cache_write_input_nanos_per_mtok=60_000,
        output_nanos_per_mtok=300_000,
        cost_nanos=2,
    )
    (request_id,) = await store(app, uneven)
    answer = (await alice.http.get(f"/api/usage/{request_id}")).json()
    assert answer["event"]["cost_usd"] == "0.000000002"
    assert answer["price_version_id"] == uneven.price_version_id
    assert answer["price_lines"] == [
        {
            "item": "input",
            "tokens": 10,
            "usd_per_mtok": "0.000050",
            "amount_usd": "0.000000001",
            "exact_usd": "0.0000000005",
        },
        {
            "item": "cached_input",
            "tokens": 1,
            "usd_per_mtok": "0.000050",
            "amount_usd": "0.00",
            "exact_usd": "0.00000000005",
        },
        {
            "item": "cache_write_input",
            "tokens": 2,
            "usd_per_mtok": "0.000060",
            "amount_usd": "0.00",
            "exact_usd": "0.00000000012",
        },
        {
            "item": "output",
            "tokens": 3,
            "usd_per_mtok": "0.000300",
            "amount_usd": "0.000000001",
            "exact_usd": "0.0000000009",
        },
    ]
    assert answer["rounding"] == {
        "exact_usd": "0.00000000157",
        "direction": "up",
        "step_usd": "0.000000001",
        "rounded_usd": "0.000000002",
    }


async def test_a_call_names_the_model_that_answered_and_what_was_tried(app: Application, alice: Person) -> None:
    tried = [
        pb.Attempt(upstream_name="one", upstream_model="gemma4", error_code="upstream_unavailable", duration_ms=5_000),
        pb.Attempt(upstream_name="two", upstream_model="gemma4", http_status=503, error_code="upstream_failed"),
        pb.Attempt(upstream_name="two", upstream_model="qwen3", http_status=200, duration_ms=80),
    ]
    qwen = "privaterouter/qwen-fast"
    (request_id,) = await store(app, record(alice, served_model_public_name=qwen, attempts=tried))
    answer = (await alice.http.get(f"/api/usage/{request_id}")).json()
    assert (answer["event"]["model_public_name"], answer["event"]["served_model_public_name"]) == (
        "privaterouter/fast",
        qwen,
    )
    assert answer["attempts"] == [
        {
            "upstream_name": "one",
            "upstream_model": "gemma4",
            "http_status": None,
            "error_code": "upstream_unavailable",
            "duration_ms": 5_000,
        },
        {
            "upstream_name": "two",
            "upstream_model": "gemma4",
            "http_status": 503,
            "error_code": "upstream_failed",
            "duration_ms": 0,
        },
        {
            "upstream_name": "two",
            "upstream_model": "qwen3",
            "http_status": 200,
            "error_code": None,
            "duration_ms": 80,
        },
    ]
    (row,) = csv.DictReader(io.StringIO((await alice.http.get("/api/usage/export.csv")).text))
    assert row["served_model_public_name"] == qwen


async def test_a_failed_call_is_listed_and_says_what_it_did_not_cost(app: Application, alice: Person) -> None:
    await store(
        app,
        record(
            alice,
            status=pb.USAGE_STATUS_ERROR,
            cost_nanos=0,
            uncharged_nanos=4_100,
            http_status=502,
            error_code="upstream_failed",
            finish_reason="",
        ),
    )
    (event,) = (await alice.http.get("/api/usage?status=error")).json()["items"]
    assert (event["cost_usd"], event["uncharged_usd"]) == ("0.00", "0.0000041")
    assert (event["status"], event["http_status"], event["error_code"]) == ("error", 502, "upstream_failed")


async def three_days(app: Application, person: Person) -> list[str]:
    """A call on each of three days: of `fast`, of `embed` by another key, and a cancelled one."""
    return await store(
        app,
        record(person),
        record(person, START + timedelta(days=1), model_public_name="privaterouter/embed", api_key_id=OTHER_KEY),
        record(person, START + timedelta(days=2), status=pb.USAGE_STATUS_CANCELLED),
    )


@pytest.mark.parametrize(
    "query, expected",
    [
        ("", [2, 1, 0]),
        ("model=privaterouter/embed", [1]),
        (f"key_id={KEY}", [2, 0]),
        ("status=cancelled", [2]),
        ("status=interrupted", []),
        ("from=2026-05-16", [2, 1]),
        ("to=2026-05-16", [0]),
        ("from=2026-05-16T06:25:33Z&to=2026-05-17T06:25:33Z", [1]),
        ("from=2026-05-16T08:25:33%2B02:00", [2, 1]),
        (f"key_id={KEY}&model=privaterouter/fast&from=2026-05-16", [2]),
        ("limit=1&offset=1", [1]),
    ],
)
async def test_calls_can_be_filtered(app: Application, alice: Person, query: str, expected: list[int]) -> None:
    made = await three_days(app, alice)
    answer = (await alice.http.get(f"/api/usage?{query}")).json()
    assert [made.index(item["id"]) for item in answer["items"]] == expected
    assert answer["total"] == (3 if "limit" in query else len(expected))


@pytest.mark.parametrize(
    "query, expected",
    [
        ("limit=0", (400, "invalid_parameter", "limit")),
        ("limit=201", (400, "invalid_parameter", "limit")),
        ("offset=x", (400, "invalid_parameter", "offset")),
        ("status=ok", (400, "invalid_parameter", "status")),
        ("from=yesterday", (400, "invalid_parameter", "from")),
        ("from=2026-05-15T06:25:33", (400, "invalid_parameter", "from")),
        ("from=20260515", (400, "invalid_parameter", "from")),
        ("to=9999-99-99", (400, "invalid_parameter", "to")),
        ("from=2026-05-16&to=2026-05-15", (400, "invalid_parameter", "from")),
        ("model=a%00b", (400, "invalid_parameter", "model")),
        ("modell=fast", (400, "invalid_parameter", "modell")),
        ("key_id=nonsense", (404, "api_key_not_found", None)),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(
    alice: Person, query: str, expected: tuple[int, str, str | None]
) -> None:
    assert error_of(await alice.http.get(f"/api/usage?{query}")) == expected


async def test_sums_come_by_day_model_and_key(app: Application, alice: Person) -> None:
    await three_days(app, alice)
    classes = {"cached_input_tokens": 0, "cache_write_input_tokens": 0, "reasoning_tokens": 0}
    tokens = {"input_tokens": 14, "output_tokens": 9, **classes}
    each = {"split": None, "requests": 1, "errors": 0, **tokens, "cost_usd": "0.0000041"}
    by_day = (await alice.http.get("/api/usage/summary")).json()
    assert by_day == {
        "group_by": "day",
        "split_by": None,
        "items": [
            {"group": "2026-05-15", **each},
            {"group": "2026-05-16", **each},
            {"group": "2026-05-17", **each, "errors": 1},
        ],
        "totals": {
            "requests": 3,
            "errors": 1,
            "input_tokens": 42,
            "output_tokens": 27,
            **classes,
            "cost_usd": "0.0000123",
        },
    }
    by_model = (await alice.http.get("/api/usage/summary?group_by=model&from=2026-05-16&to=2026-05-16")).json()
    assert by_model["items"] == [{"group": "privaterouter/embed", **each}]
    by_key = (await alice.http.get("/api/usage/summary?group_by=key")).json()
    assert [(item["group"], item["requests"]) for item in by_key["items"]] == [(KEY, 2), (OTHER_KEY, 1)]
    split = (await alice.http.get("/api/usage/summary?split_by=model&from=2026-05-16")).json()
    assert split["split_by"] == "model"
    assert [(item["group"], item["split"], item["requests"]) for item in split["items"]] == [
        ("2026-05-16", "privaterouter/embed", 1),
        ("2026-05-17", "privaterouter/fast", 1),
    ]
    same = await alice.http.get("/api/usage/summary?group_by=key&split_by=key")
    assert error_of(same) == (400, "invalid_parameter", "split_by")
    bad = await alice.http.get("/api/usage/summary?group_by=hour")
    assert error_of(bad) == (400, "invalid_parameter", "group_by")


async def test_everything_comes_as_csv_also_over_many_pages(
    app: Application, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.api.usage_csv.FIRST", 1)
    monkeypatch.setattr("edge.api.usage_csv.PAGE", 2)
    made = await three_days(app, alice)
    answer = await alice.http.get("/api/usage/export.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == made[::-1]
    assert rows[2] == {
        "id": made[0],
        "created_at": "2026-05-15T06:25:33Z",
        "model_public_name": "privaterouter/fast",
        "api_key_id": KEY,
        "endpoint": "chat.completions",
        "status": "success",
        "input_tokens": "14",
        "cached_input_tokens": "0",
        "output_tokens": "9",
        "reasoning_tokens": "0",
        "cost_usd": "0.0000041",
        "uncharged_usd": "0.00",
        "latency_ms": "412",
        "error_code": "",
        "finish_reason": "stop",
        "cache_write_input_tokens": "0",
        "served_model_public_name": "",
    }
    filtered = await alice.http.get("/api/usage/export.csv?status=cancelled")
    assert [row["id"] for row in csv.DictReader(io.StringIO(filtered.text))] == [made[2]]


async def test_a_file_begins_with_a_short_page_and_none_of_its_pages_is_counted() -> None:
    """The headers wait for the first one; what is not counted costs the same however much there is."""
    asked: list[tuple[int, str]] = []

    class Usage:
        async def ListUsage(self, request: pb.ListUsageRequest) -> pb.ListUsageResponse:
            asked.append((request.limit, request.before_request_id))
            count = request.limit if len(asked) < 3 else 1
            return pb.ListUsageResponse(records=[pb.UsageRecord(request_id=f"{len(asked)}")] * count)

    pieces = [piece async for piece in usage_csv.lines(cast(Any, Usage()), "me", matching=pb.UsageFilter())]
    assert [piece.count("\r\n") for piece in pieces] == [101, 1_000, 1]
    assert asked == [(100, NEWEST), (1_000, "1"), (1_000, "2")]


async def test_what_an_upstream_said_cannot_become_a_formula(app: Application, alice: Person) -> None:
    await store(app, record(alice, finish_reason='=HYPERLINK("http://evil")'))
    (row,) = csv.DictReader(io.StringIO((await alice.http.get("/api/usage/export.csv")).text))
    assert row["finish_reason"] == '\'=HYPERLINK("http://evil")'


async def test_nobody_sees_anybody_elses_calls(app: Application, alice: Person, bob: Person) -> None:
    made = await three_days(app, alice)
    foreign = await bob.http.get(f"/api/usage/{made[0]}")
    assert error_of(foreign)[:2] == (404, "usage_not_found")
    assert foreign.json() == (await bob.http.get(f"/api/usage/{NOBODYS}")).json()
    assert error_of(await bob.http.get("/api/usage/nonsense"))[:2] == (404, "usage_not_found")
    assert (await bob.http.get("/api/usage")).json()["total"] == 0
    assert (await bob.http.get(f"/api/usage?key_id={KEY}")).json()["total"] == 0
    assert (await bob.http.get("/api/usage/summary")).json()["items"] == []
    assert (await bob.http.get("/api/usage/export.csv")).text.count("\n") == 1
