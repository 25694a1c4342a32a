"""How fast lists and sums answer: `make bench-reads`.

Starts a stack of its own, puts a million calls of one user over three months into it (with as many charges), beside
100,000 other users, and asks each endpoint up to a hundred times over HTTP: first, filtered and deep pages, sums, and
the first lines of files. What is printed is milliseconds: of the first call, which warms the caches, of those after it,
and the CPU time that one of them took of all processes of the stack, which tells more where the machine is busy.

BENCH_RECORDS and BENCH_USERS make it smaller or larger: ten million take some minutes to put there and 20 GB of disk.
BENCH_HOME keeps what was put there in that directory, for the next run.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx

from bench import processes
from bench.lag import percentile
from bench.seeded import fill, place
from bench.seeding import DAYS, KEYS, Amounts, Owner, fill_one
from tests.support.customers import PASSWORD, customer
from tests.support.processes import fake_upstream
from tests.support.stack import RunningStack, running_stack

RECORDS = int(os.environ.get("BENCH_RECORDS", "1000000"))
USERS = int(os.environ.get("BENCH_USERS", "100000"))
TIMES = 100
LONGEST_S = 5
GOAL_S = 0.1


def paths(key_id: str, user_id: str, now: datetime) -> list[str]:
    """What is asked."""
    deep = RECORDS * 9 // 10
    middle = RECORDS // 2
    half, week, day = (now.replace(minute=30, second=0) - timedelta(days=days) for days in (DAYS // 2, 7, 1))
    since, to = f"from={half:%Y-%m-%dT%H:%M:%SZ}", f"to={week:%Y-%m-%dT%H:%M:%SZ}"
    one_day = f"from={week:%Y-%m-%dT%H:%M:%SZ}&to={week + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    model = "model=bench/model-3"
    own = [
        "usage",
        *(f"usage?offset={offset}" for offset in (middle, deep)),
        f"usage?{since}",
        f"usage?{since}&{to}",
        f"usage?{since}&{to}&offset={RECORDS // 5}",
        f"usage?{one_day}",
        f"usage?from={day:%Y-%m-%d}",
        f"usage?{model}",
        f"usage?{model}&offset={middle // 10}",
        f"usage?{model}&{since}&{to}",
        "usage?model=nothing",
        f"usage?key_id={key_id}",
        f"usage?key_id={key_id}&offset={middle // KEYS}",
        f"usage?key_id={key_id}&{model}",
        "usage?status=error",
        f"usage?status=error&offset={middle // 40}",
        f"usage?status=success&offset={middle}",
        f"usage?{model}&status=cancelled&{since}",
        "usage/summary",
        "usage/summary?group_by=model",
        "usage/summary?split_by=model",
        "usage/summary?split_by=key",
        "usage/export.csv",
        f"usage/export.csv?{since}&{to}",
        f"usage/export.csv?{model}",
        f"usage/export.csv?key_id={key_id}&status=error",
        "billing/balance",
        "billing/transactions",
        *(f"billing/transactions?offset={offset}" for offset in (middle, deep)),
        f"billing/transactions?kind=charge&offset={middle}",
        "billing/transactions?kind=top_up",
        f"billing/transactions?{since}&{to}",
        f"billing/transactions?{since}&{to}&offset={RECORDS // 5}",
        "billing/transactions/export.csv",
        "keys",
    ]
    admins = [
        *(f"admin/overview?days={days}" for days in (1, 7, 30, 90)),
        "admin/users",
        f"admin/users?offset={USERS * 9 // 10}",
        "admin/users?search=user-777",
        f"admin/users/{user_id}/usage?offset={middle}",
        f"admin/users/{user_id}/transactions?offset={middle}",
        "admin/ledger",
        f"admin/ledger?offset={middle}",
        "admin/ledger?kind=plan_credit",
        f"admin/ledger?account_id={user_id}",
        "admin/ledger/totals",
    ]
    return [f"/api/{path}" for path in own + admins]


def ask(http: httpx.Client, path: str) -> float:
    """Seconds to the end of the answer; of a file, to its first lines. Infinite where it takes longer than it may."""
    begun_s = time.monotonic()
    with http.stream("GET", path) as answer:
        if answer.status_code == 503:
            return math.inf
        answer.raise_for_status()
        for _ in answer.iter_raw():
            if ".csv" in path:
                break
        return time.monotonic() - begun_s


def repeated(http: httpx.Client, path: str) -> list[float]:
    """Seconds of each of TIMES answers; of fewer where they are so slow that there is nothing left to find out."""
    took: list[float] = []
    until_s = time.monotonic() + LONGEST_S
    while len(took) < TIMES and time.monotonic() < until_s:
        took.append(ask(http, path))
    return took


def measure(http: httpx.Client, who: Owner, cpu_s: Callable[[], float]) -> list[str]:
    """Print the table; what missed the goal."""
    key_id = who.api_key_ids[0]
    print(f"{'milliseconds':<84}{'first':>7}{'p50':>7}{'p99':>7}{'CPU':>7}")
    missed = []
    for path in paths(key_id, who.account_id, datetime.now(UTC)):
        first = ask(http, path)
        before_s = cpu_s()
        took = repeated(http, path)
        each = (cpu_s() - before_s) / len(took)
        middle, late = percentile(took, 0.5), percentile(took, 0.99)
        shown = path.replace(who.account_id, "{id}").replace(key_id, "{id}")
        if late > GOAL_S:
            missed.append(shown)
        figures = "".join(f"{figure * 1000:>7.0f}" for figure in (first, middle, late))
        print(f"{shown:<84}{figures}{each * 1000:>7.1f}", flush=True)
    return missed


def prepare(directory: Path, upstream: str) -> None:
    """A new stack with an admin who has keys, and with the data; it is stopped again."""
    with started(directory, upstream) as stack, customer(stack) as someone:
        stack.command("admin", "create-admin", "--email", someone.email, "--existing").check_returncode()
        for _ in range(KEYS - 1):
            someone.new_key()
        keys = [key["id"] for key in someone.http.get("/api/keys").json()["items"]]
        owner = Owner(account_id=someone.account_id, api_key_ids=keys)
        (directory / "who.json").write_text(json.dumps([someone.email, owner.account_id, keys]))
    fill(directory, partial(fill_one, owner=owner, amounts=Amounts(records=RECORDS, users=USERS)))


def started(directory: Path, upstream: str) -> AbstractContextManager[RunningStack]:
    """The stack of this place."""
    return running_stack(directory / "home", UPSTREAM_KIND="openai", UPSTREAM_BASE_URL=upstream)


def main() -> int:
    """1 where the goal was missed."""
    with ExitStack() as entered:
        upstream = entered.enter_context(fake_upstream())
        directory, filled = entered.enter_context(place("reads"))
        if not filled:
            prepare(directory, upstream)
        stack = entered.enter_context(started(directory, upstream))
        email, account_id, keys = json.loads((directory / "who.json").read_text())
        http = entered.enter_context(httpx.Client(base_url=stack.places.api_url, timeout=120))
        login = http.post("/api/auth/login", json={"email": email, "password": PASSWORD}).raise_for_status().json()
        http.headers["authorization"] = f"Bearer {login['access_token']}"
        before = os.getloadavg()[0]
        owner = Owner(account_id=account_id, api_key_ids=keys)
        missed = measure(http, owner, lambda: processes.cpu_s(processes.tree(stack.process.pid)))
    print(f"The load average was {before:.1f} before and {os.getloadavg()[0]:.1f} after.")
    print(
        f"99 of 100 answers within {GOAL_S * 1000:.0f} ms: {'everywhere' if not missed else 'NOT ' + ', '.join(missed)}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
