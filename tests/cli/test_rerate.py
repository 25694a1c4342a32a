"""Charging a model's requests anew, against the real services, with records as an edge would send them."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest

from cli import rerate
from cli.connect import Clients
from cli.tally import Tally, report
from kit.client import channel
from kit.errors import RemoteError
from kit.ids import IdFactory
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.usage.v1 import usage_pb2 as pb
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub
from tests.cli.test_users import PASSWORD
from tests.support.stack import RunningStack, until

DAY = datetime(2026, 5, 15, tzinfo=UTC)
SPAN = ("--from", "2026-05-15", "--to", "2026-05-16")
new_id = IdFactory()


@dataclass(frozen=True)
class Customer:
    """Somebody with $1.00, and what they are told."""

    http: httpx.Client
    id: str
    email: str
    token: str

    def get(self, path: str) -> Any:
        answer = self.http.get(path, headers={"authorization": f"Bearer {self.token}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def balance(self) -> str:
        found: str = self.get("/api/billing/balance")["balance_usd"]
        return found

    def corrections(self) -> list[tuple[str, str]]:
        """Amount and request of each adjustment."""
        items = self.get("/api/billing/transactions?kind=adjustment&limit=200")["items"]
        return [(item["amount_usd"], item["request_id"]) for item in items]


def customer(http: httpx.Client, name: str) -> Customer:
    email = f"{name}-{new_id()}@example.com"
    made = http.post("/api/auth/signup", json={"email": email, "password": PASSWORD, "name": name})
    http.cookies.clear()
    found = Customer(http, made.json()["user"]["id"], email, made.json()["access_token"])
    path, headers = "/api/billing/balance", {"authorization": f"Bearer {found.token}"}
    until(lambda: http.get(path, headers=headers).status_code == 200)
    return found


@pytest.fixture
def model(stack: RunningStack) -> str:
    """A model of $1 for a million prompt tokens and $2 for a million output tokens."""
    name = f"privaterouter/rerated-{new_id()}"
    made = stack.command(
        *("admin", "add-model", "--name", name, "--upstream-model", "x", "--input-usd", "1", "--output-usd", "2")
    )
    assert made.returncode == 0, made.stderr
    return name


def set_price(stack: RunningStack, model: str, input_usd: str, output_usd: str) -> None:
    prices = ("--input-usd", input_usd, "--output-usd", output_usd)
    assert stack.command("admin", "set-price", "--model", model, *prices).returncode == 0


def usage_record(account_id: str, model: str, start: datetime = DAY, **changes: Any) -> pb.UsageRecord:
    """A call of 1,000 tokens in and 500 out, which is $0.002."""
    values: dict[str, Any] = {
        "request_id": str(IdFactory(lambda: int(start.timestamp()) * 1_000_000_000)()),
        "worker_id": str(new_id()),
        "account_id": account_id,
        "api_key_id": str(new_id()),
        "model_public_name": model,
        "endpoint": "chat.completions",
        "status": pb.USAGE_STATUS_SUCCESS,
        "input_tokens": 1_000,
        "output_tokens": 500,
        "price_version_id": str(new_id()),
        "input_nanos_per_mtok": 1_000_000_000,
        "cached_input_nanos_per_mtok": 1_000_000_000,
        "output_nanos_per_mtok": 2_000_000_000,
        "cost_nanos": 2_000_000,
        "held_nanos": 5_000_000,
        "start_time": to_proto(start),
        "http_status": 200,
    }
    return pb.UsageRecord(**values | changes)


def used(stack: RunningStack, *records: pb.UsageRecord) -> None:
    """Send the records as one worker, as an edge does."""
    worker_id = str(new_id())
    for one in records:
        one.worker_id = worker_id

    async def send() -> pb.RecordUsageResponse:
        async with channel(stack.places.address("usage")) as connected:
            return await UsageServiceStub(connected).RecordUsage(
                pb.RecordUsageRequest(worker_id=worker_id, records=records)
            )

    outcomes = [result.outcome for result in asyncio.run(send()).results]
    assert outcomes == [pb.RECORD_OUTCOME_TAKEN] * len(records)


def run(stack: RunningStack, model: str, *arguments: str, status: int = 0) -> list[list[str]]:
    """The cells of what it prints, line by line, but for blank ones and the one that names the price."""
    done = stack.command("admin", "rerate", "--model", model, *SPAN, *arguments)
    assert (done.returncode, done.stderr) == (status, "")
    heading, *lines = [line for line in done.stdout.splitlines() if line]
    assert heading.startswith(f"{model} at $")
    return [re.split("  +", line) for line in lines]


def test_a_lower_price_is_given_back_once_and_a_dry_run_gives_nothing(
    stack: RunningStack, http: httpx.Client, model: str
) -> None:
    alice, bob = customer(http, "alice"), customer(http, "bob")
    records = [
        usage_record(alice.id, model),
        usage_record(alice.id, model, DAY + timedelta(hours=23), status=pb.USAGE_STATUS_CANCELLED),
        usage_record(bob.id, model, input_tokens=1, output_tokens=0, cost_nanos=1_000),
        usage_record(bob.id, model, DAY - timedelta(seconds=1)),
        usage_record(bob.id, model, DAY + timedelta(days=1)),
        usage_record(bob.id, "privaterouter/fast"),
        usage_record(bob.id, model, status=pb.USAGE_STATUS_ERROR, cost_nanos=0, uncharged_nanos=2_000_000),
    ]
    used(stack, *records)
    until(lambda: (alice.balance, bob.balance) == ("0.996", "0.993999"))
    before = [alice.get(f"/api/usage/{record.request_id}")["event"] for record in records[:2]]
    set_price(stack, model, "0.5", "1.000001")

    dry = run(stack, model, "--dry-run")
    assert dry == [
        ["REQUESTS", "CHARGED", "WOULD BE", "DIFFERENCE", "ACCOUNTS TOUCHED"],
        ["3", "$0.004001", "$0.002000502", "-$0.002000498", "2"],
        ["OUTCOME", "REQUESTS", "AMOUNTS"],
        ["to correct", "3", "$0.002000498 given back, $0.00 taken"],
        ["ACCOUNT", "REQUESTS", "WOULD BE ADDED"],
        [alice.email, "2", "$0.001999998"],
        [bob.email, "1", "$0.0000005"],
        ["Nothing was booked."],
    ]
    assert (alice.balance, bob.balance, alice.corrections()) == ("0.996", "0.993999", [])

    assert run(stack, model)[3] == ["corrected", "3", "$0.002000498 given back, $0.00 taken"]
    assert (alice.balance, bob.balance) == ("0.997999998", "0.9939995")
    for _ in range(2):
        again = run(stack, model)
        assert again[1] == ["3", "$0.002000502", "$0.002000502", "$0.00", "0"]
        assert again[3:] == [["right already", "3"]]
    assert (alice.balance, bob.balance) == ("0.997999998", "0.9939995")
    assert sorted(request_id for _, request_id in alice.corrections()) == sorted(r.request_id for r in records[:2])
    assert [alice.get(f"/api/usage/{record.request_id}")["event"] for record in records[:2]] == before


def test_a_higher_price_takes_what_is_available_and_says_what_it_did_not_take(
    stack: RunningStack, http: httpx.Client, model: str
) -> None:
    poor, rich = customer(http, "poor"), customer(http, "rich")
    dear: dict[str, Any] = {
        "input_tokens": 300_000,
        "output_tokens": 0,
        "cost_nanos": 300_000_000,
        "held_nanos": 300_000_000,
    }
    used(stack, *(usage_record(poor.id, model, **dear) for _ in range(3)), usage_record(rich.id, model, **dear))
    until(lambda: (poor.balance, rich.balance) == ("0.10", "0.70"))
    set_price(stack, model, "1.2", "2")
    told = [
        ["4", "$1.20", "$1.44", "$0.24", "2"],
        ["$0.00 given back, $0.12 taken"],
        ["refused", "2", "$0.12 not taken: it is not available"],
    ]
    for arguments in (("--dry-run",), ()):
        lines = run(stack, model, *arguments)
        assert [lines[1], lines[3][2:], lines[4]] == told
    assert (poor.balance, rich.balance) == ("0.04", "0.64")
    topped_up = stack.command(
        *("admin", "add-credit", "--email", poor.email, "--amount-usd", "1", "--reason", "so that it can be taken")
    )
    assert topped_up.returncode == 0
    assert run(stack, model)[3] == ["corrected", "2", "$0.00 given back, $0.12 taken"]
    assert poor.balance == "0.92"


def test_an_earlier_price_version_can_be_charged_again(stack: RunningStack, http: httpx.Client, model: str) -> None:
    alice = customer(http, "alice")
    used(stack, usage_record(alice.id, model))
    until(lambda: alice.balance == "0.998")
    set_price(stack, model, "0", "0")
    run(stack, model)
    assert alice.balance == "1.00"
    unknown = stack.command("admin", "rerate", "--model", model, *SPAN, "--price-version", str(new_id()))
    assert (unknown.returncode, unknown.stdout) == (1, "")
    first = re.findall(r"[0-9a-f-]{36}", unknown.stderr)[-1]
    run(stack, model, "--price-version", first)
    assert alice.balance == "0.998"
    assert [amount for amount, _ in alice.corrections()] == ["-0.002", "0.002"]


def test_many_pages_are_corrected_to_the_last_request(stack: RunningStack, http: httpx.Client, model: str) -> None:
    people = [customer(http, f"person-{number}") for number in range(3)]
    cheap: dict[str, Any] = {"input_tokens": 1, "output_tokens": 0, "cost_nanos": 1_000}
    count = 2 * rerate.PAGE + 200
    used(
        stack,
        *(
            usage_record(people[number % 3].id, model, DAY + timedelta(seconds=number), **cheap)
            for number in range(count)
        ),
    )
    until(lambda: [person.balance for person in people] == ["0.9996"] * 3)
    set_price(stack, model, "3", "0")
    assert run(stack, model, "--dry-run", "--top", "0")[1] == ["1,200", "$0.0012", "$0.0036", "$0.0024", "3"]
    assert run(stack, model)[1] == ["1,200", "$0.0012", "$0.0036", "$0.0024", "3"]
    assert [person.balance for person in people] == ["0.9988"] * 3


def test_nothing_to_correct_is_said(stack: RunningStack, model: str) -> None:
    assert run(stack, model)[1:] == [["0", "$0.00", "$0.00", "$0.00", "0"]]


@pytest.mark.parametrize(
    "arguments, status",
    [
        (("--model", "privaterouter/none", *SPAN), 1),
        (("--model", "privaterouter/fast", "--from", "yesterday", "--to", "2026-05-16"), 2),
        (("--model", "privaterouter/fast", "--from", "2026-05-15T06:00:00", "--to", "2026-05-16"), 2),
        (("--model", "privaterouter/fast", "--from", "2026-05-16", "--to", "2026-05-16"), 2),
        (("--model", "privaterouter/fast", "--from", "2026-05-15"), 2),
    ],
)
def test_wrong_usage_is_told(stack: RunningStack, arguments: tuple[str, ...], status: int) -> None:
    refused = stack.command("admin", "rerate", *arguments)
    assert (refused.returncode, refused.stdout) == (status, "")
    assert "Traceback" not in refused.stderr
    if status == 1:
        assert len(refused.stderr.splitlines()) == 1


PRICE = catalog_pb2.Price(version_id=str(new_id()), input_nanos_per_mtok=10_000_000, output_nanos_per_mtok=20_000_000)


class FakeUsage:
    """Three pages of one request each."""

    async def ListModelUsage(self, request: pb.ListModelUsageRequest) -> pb.ListModelUsageResponse:
        number = int(request.after_request_id or 0) + 1
        found = [usage_record("a", "m", request_id=str(number))] if number <= 3 else []
        return pb.ListModelUsageResponse(records=found)


class FakeBilling:
    """Corrects everything, but for the call that it is told to fail."""

    def __init__(self, *, fails_at: int = 0) -> None:
        self.calls: list[billing_pb2.CorrectChargesRequest] = []
        self.fails_at = fails_at

    async def CorrectCharges(self, request: billing_pb2.CorrectChargesRequest) -> billing_pb2.CorrectChargesResponse:
        self.calls.append(request)
        if len(self.calls) == self.fails_at:
            raise RemoteError(grpc.StatusCode.UNAVAILABLE, "away")
        result = billing_pb2.CorrectionResult(
            outcome=billing_pb2.CORRECTION_OUTCOME_BOOKED, account_id="a", cost_nanos=2_000_000, amount_nanos=5
        )
        return billing_pb2.CorrectChargesResponse(results=[result] * len(request.corrections))


async def corrected(billing: FakeBilling, *, dry_run: bool = False, seconds: Sequence[float] = (0.0,) * 9) -> Tally:
    clients = Clients(auth=None, catalog=None, billing=billing, usage=FakeUsage())  # type: ignore[arg-type]
    span = pb.ListModelUsageRequest(model_public_name="m", limit=1)
    clock = iter(seconds)
    return await rerate.correct_all(clients, span, price=PRICE, dry_run=dry_run, now_s=lambda: next(clock))


async def test_it_tells_how_far_it_is_when_it_takes_more_than_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    await corrected(FakeBilling(), seconds=[0.0, 1.9, 2.0, 2.0, 3.9])
    assert capsys.readouterr().err == "2 requests so far ...\n"


async def test_a_run_that_breaks_off_says_that_it_can_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RemoteError):
        await corrected(FakeBilling(fails_at=3))
    assert capsys.readouterr().err == "Stopped after 2 requests. Run the same again: nothing is corrected twice.\n"


async def test_a_dry_run_tells_billing_what_it_would_have_changed_before() -> None:
    billing = FakeBilling()
    tally = await corrected(billing, dry_run=True)
    changes = [[change.amount_nanos for change in call.dry_run_changes] for call in billing.calls]
    assert changes == [[], [5], [10]]
    assert all(call.dry_run for call in billing.calls)
    assert tally.given_nanos == 15
    for_real = FakeBilling()
    await corrected(for_real)
    assert not any(call.dry_run or call.dry_run_changes for call in for_real.calls)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, 20_000),
        ({"cached_input_tokens": 1_000}, 20_000),
        ({"input_tokens": 1, "output_tokens": 0}, 10),
        ({"cost_nanos": 500_000, "uncharged_nanos": 1_500_000}, 5_000),
        ({"cost_nanos": 1, "uncharged_nanos": 2}, 6_666),
    ],
)
def test_a_request_is_recomputed_from_its_tokens_and_a_part_stays_a_part(
    changes: dict[str, Any], expected: int
) -> None:
    assert rerate.should_cost(usage_record("a", "m", DAY, **changes), PRICE) == expected


def test_cached_tokens_have_their_own_price_where_there_is_one() -> None:
    price = catalog_pb2.Price(input_nanos_per_mtok=10_000_000, cached_input_nanos_per_mtok=0)
    assert rerate.should_cost(usage_record("a", "m", cached_input_tokens=400), price) == 6_000


def test_tokens_written_into_a_cache_have_their_own_price_or_that_of_input() -> None:
    record = usage_record("a", "m", cached_input_tokens=400, cache_write_input_tokens=500)
    price = catalog_pb2.Price(input_nanos_per_mtok=10_000_000, cached_input_nanos_per_mtok=0)
    assert rerate.should_cost(record, price) == 100 * 10 + 500 * 10
    price.cache_write_input_nanos_per_mtok = 12_000_000
    assert rerate.should_cost(record, price) == 100 * 10 + 500 * 12


def test_what_is_not_booked_yet_has_no_amounts() -> None:
    tally = Tally()
    tally.add(billing_pb2.CorrectionResult(outcome=billing_pb2.CORRECTION_OUTCOME_PENDING), should_cost_nanos=7)
    assert report(tally, names={}, dry_run=False).splitlines() == [
        "REQUESTS  CHARGED  WOULD BE  DIFFERENCE  ACCOUNTS TOUCHED",
        "1         $0.00    $0.00     $0.00       0",
        "",
        "OUTCOME         REQUESTS  AMOUNTS",
        "not booked yet  1         run it again later",
    ]
