"""Judges a run: the bill against what the upstream made and what the clients saw, request by request."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from kit.money import cost_nanos
from tests.faults import books
from tests.faults.books import Books, Entry, Record
from tests.faults.clients import Seen
from tests.faults.cluster import Cluster
from tests.faults.office import INPUT_NANOS_PER_MTOK, OUTPUT_NANOS_PER_MTOK, Customer
from tests.faults.pace import PACE

WINDOW_S = 2 * PACE.tick_s
"""What a death may cost: a request is reported once it is one tick old, and then at every tick."""
SLACK_S = 1.0
"""For a machine that is busy with killing and starting: timers are late, and closed connections are noticed late."""


@dataclass
class Verdict:
    """What was found; nothing is wrong where `findings` is empty."""

    requests: int = 0
    answered: int = 0
    billed_nanos: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    """Acknowledged, or made by the upstream, and on no record."""
    doubled: int = 0
    misbilled: int = 0
    absorbed_nanos: int = 0
    short_s: float = 0.0
    """The most that an interrupted request was billed too little, as time of its stream."""
    quiet_s: float = 0.0
    """From the end of the load to the last lease and row."""
    findings: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        """Takes in what was found about other requests."""
        self.requests += other.requests
        self.answered += other.answered
        self.billed_nanos += other.billed_nanos
        self.statuses += other.statuses
        self.lost += other.lost
        self.doubled += other.doubled
        self.misbilled += other.misbilled
        # Of the whole ledger, and it only grows.
        self.absorbed_nanos = max(self.absorbed_nanos, other.absorbed_nanos)
        self.short_s = max(self.short_s, other.short_s)
        self.quiet_s = max(self.quiet_s, other.quiet_s)
        self.findings += other.findings

    def hold(self) -> None:
        """AssertionError with all findings, if there are any."""
        shown = "\n".join(self.findings[:20])
        assert not self.findings, f"{len(self.findings)} findings:\n{shown}"


async def judge(
    cluster: Cluster,
    customers: Sequence[Customer],
    seen: Sequence[Seen],
    *,
    within_s: float = books.QUIET_WITHIN_S,
    swallowed: bool = False,
) -> Verdict:
    """Waits until all is quiet, and compares. `seen` are all requests of these customers.

    `swallowed`: the network may have lost what was sent to the upstream; a client that left then pays for the prompt.
    """
    verdict = Verdict()
    try:
        verdict.quiet_s = await books.quiet(cluster, within_s=within_s)
    except AssertionError as error:
        verdict.quiet_s = within_s
        verdict.findings.append(str(error))
    # What the first and the last of them have in common, all have.
    nonces = sorted(one.wish.nonce for one in seen)
    asked = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(nonces[0], nonces[-1], strict=False)))
    found = await books.read(cluster, [customer.account_id for customer in customers], asked=asked)
    compare(found, customers, seen, verdict, swallowed=swallowed)
    return verdict


def compare(
    found: Books, customers: Sequence[Customer], seen: Sequence[Seen], verdict: Verdict, *, swallowed: bool = False
) -> None:
    """Adds to the verdict what the books say about these requests."""
    by_nonce = {one.wish.nonce: one for one in seen}
    assert len(by_nonce) == len(seen)
    tally = {request_id: entry for request_id, entry in found.tally.items() if entry.nonce in by_nonce}
    verdict.requests, verdict.answered = len(seen), sum(one.done for one in seen)
    for request_id, entry in tally.items():
        _judge_made(request_id, entry, by_nonce[entry.nonce], found, verdict)
    for one in seen:
        _judge_seen(one, found, verdict)
    for request_id, record in found.records.items():
        verdict.statuses[record.status] += 1
        _judge_record(record, tally.get(request_id), found, verdict, swallowed=swallowed)
    for request_id in found.charges.keys() - found.records.keys():
        verdict.misbilled += 1
        verdict.findings.append(f"{request_id}: a charge without a record")
    for customer in customers:
        _judge_account(customer, found, verdict)
    verdict.billed_nanos = sum(found.charged_nanos.values())
    verdict.absorbed_nanos = found.absorbed_nanos
    if found.absorbed_nanos:
        verdict.findings.append(f"the house paid {found.absorbed_nanos}")
    if found.unbalanced:
        verdict.findings.append(f"{found.unbalanced} transactions do not balance")


def _judge_made(request_id: str, entry: Entry, one: Seen, found: Books, verdict: Verdict) -> None:
    """What the upstream has made is on a record, priced by its tally where it was charged."""
    record = found.records.get(request_id)
    if record is None:
        # Where the edge died in the moment of forwarding, nobody was answered and next to nothing was made.
        spared_s = _stream_s(entry.output_tokens, one)
        if one.status or spared_s > WINDOW_S + SLACK_S:
            verdict.lost += 1
            verdict.findings.append(f"{request_id}: lost. {entry}, {one}")
        return
    short = entry.output_tokens - record.output_tokens
    match record.status:
        case "success" if record.estimated:
            wrong = record.output_tokens != _our_count(entry, one)
        case "success":
            wrong = record.cost_nanos != _price(entry.prompt_tokens, entry.output_tokens)
        case "cancelled":
            wrong = short < 0 or (record.estimated and record.output_tokens < one.tokens)
        case "interrupted":
            # Of an answer in one piece no token was seen, and so none is billed.
            short_s = _stream_s(max(short, 0), one) if one.wish.streamed else 0.0
            verdict.short_s = max(verdict.short_s, short_s)
            wrong = short < 0 or short_s > WINDOW_S + SLACK_S
        case _:
            wrong = record.cost_nanos != 0
    if wrong:
        verdict.misbilled += 1
        verdict.findings.append(f"{request_id}: not what was made. {entry}, {record}, {one}")


def _judge_seen(one: Seen, found: Books, verdict: Verdict) -> None:
    """Who has seen the end of an answer is billed for it; who was refused is not."""
    record = found.records.get(one.request_id)
    if one.done and record is None:
        verdict.lost += 1
        verdict.findings.append(f"{one.request_id}: acknowledged, and lost. {one}")
    elif one.done and record and record.status != "success":
        verdict.misbilled += 1
        verdict.findings.append(f"{one.request_id}: answered in full, but {record}")
    elif one.cost_nanos is not None and record and record.cost_nanos != one.cost_nanos:
        verdict.misbilled += 1
        verdict.findings.append(f"{one.request_id}: billed otherwise than said. {record}, {one}")
    elif one.is_refused and record and record.cost_nanos:
        verdict.misbilled += 1
        verdict.findings.append(f"{one.request_id}: an error was billed. {record}, {one}")


def _judge_record(record: Record, entry: Entry | None, found: Books, verdict: Verdict, *, swallowed: bool) -> None:
    """A record is final, priced by its tokens, and charged once; without the upstream it costs nothing."""
    problem = ""
    charges = found.charges.get(record.request_id, [])
    if record.status == "open":
        problem = "never became final"
    elif sum(charges) != record.cost_nanos:
        problem = f"charges are {charges}"
        verdict.doubled += sum(charges) > record.cost_nanos
        verdict.lost += sum(charges) < record.cost_nanos
    elif len(charges) > record.revision:
        problem = f"charged {len(charges)} times"
        verdict.doubled += 1
    elif entry is None and record.cost_nanos and not _is_prompt_of_who_left(record, swallowed=swallowed):
        problem = "charged, and the upstream knows nothing of it"
        verdict.misbilled += 1
    elif record.status != "error" and record.cost_nanos != _price(record.input_tokens, record.output_tokens):
        problem = "not the price of its tokens"
        verdict.misbilled += 1
    if problem:
        verdict.findings.append(f"{record.request_id}: {problem}. {record}, {entry}")


def _is_prompt_of_who_left(record: Record, *, swallowed: bool) -> bool:
    """Who leaves once the request goes out pays for the prompt, though we hang up before the upstream has read it."""
    return record.status == "cancelled" and (swallowed or not record.output_tokens)


def _judge_account(customer: Customer, found: Books, verdict: Verdict) -> None:
    account_id = customer.account_id
    posted, entries = found.posted_nanos[account_id], found.entries_nanos[account_id]
    if posted != entries:
        verdict.findings.append(f"{account_id}: balance {posted}, entries {entries}")
    if posted != customer.start_nanos - found.charged_nanos[account_id] + found.absorbed_nanos:
        verdict.findings.append(f"{account_id}: {customer.start_nanos} - {found.charged_nanos[account_id]} != {posted}")
    if posted < 0:
        verdict.findings.append(f"{account_id}: overspent by {-posted}")
    if found.leased_nanos[account_id]:
        verdict.findings.append(f"{account_id}: {found.leased_nanos[account_id]} still leased")


def _price(input_tokens: int, output_tokens: int) -> int:
    return cost_nanos((input_tokens, INPUT_NANOS_PER_MTOK), (output_tokens, OUTPUT_NANOS_PER_MTOK))


def _our_count(entry: Entry, one: Seen) -> int:
    """Where the upstream does not say: its deltas; of an answer in one piece a fifth of the bytes of its text."""
    return entry.output_tokens if one.wish.streamed else max(1, len("tok ") * entry.output_tokens // 5)


def _stream_s(tokens: int, one: Seen) -> float:
    """How long the upstream took for so many tokens of this request."""
    per_token_s: float = one.wish.script.get("before_token_s", 0)
    return tokens * per_token_s
