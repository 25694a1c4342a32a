"""How fast lists and sums answer: `make bench-reads`.

Starts a stack of its own, puts a million calls of one user over three months into it (with as many charges), beside
100,000 other users, and asks each endpoint some times over HTTP: first, filtered and deep pages. What is printed is
milliseconds: of the first call, which warms the caches, and of those after it. BENCH_RECORDS and BENCH_USERS make it
smaller.
"""

import asyncio
import os
import sys
import time

import httpx

from bench.lag import percentile
from bench.seeding import KEYS, fill
from bench.stack import stack_of_its_own
from tests.support.customers import Customer, customer

RECORDS = int(os.environ.get("BENCH_RECORDS", "1000000"))
USERS = int(os.environ.get("BENCH_USERS", "100000"))
TIMES = 10
GOAL_S = 0.3


def paths(key_id: str, user_id: str) -> list[str]:
    """What is asked."""
    deep = RECORDS * 9 // 10
    week, hours = "from=2026-01-01", "from=2026-01-01T05:30:00Z"
    own = [
        "usage",
        f"usage?offset={deep}",
        f"usage?{week}",
        f"usage?{hours}&offset={deep}",
        "usage?model=bench/model-3",
        f"usage?model=bench/model-3&offset={deep // 10}",
        "usage?model=nothing",
        f"usage?key_id={key_id}",
        f"usage?key_id={key_id}&offset={deep // KEYS}",
        "usage?status=error",
        f"usage?status=error&offset={deep // 40}",
        f"usage?status=success&offset={deep}",
        f"usage?model=bench/model-3&status=cancelled&{hours}",
        "usage/summary",
        "usage/summary?group_by=model",
        "usage/summary?split_by=model",
        "usage/summary?split_by=key",
        "billing/balance",
        "billing/transactions",
        f"billing/transactions?offset={deep}",
        f"billing/transactions?kind=charge&offset={deep}",
        "billing/transactions?kind=top_up",
        f"billing/transactions?{hours}&offset={deep}",
        "keys",
    ]
    admins = [
        *(f"admin/overview?days={days}" for days in (1, 7, 30, 90)),
        "admin/users",
        f"admin/users?offset={USERS * 9 // 10}",
        "admin/users?search=user-777",
        f"admin/users/{user_id}/usage?offset={deep}",
        f"admin/users/{user_id}/transactions?offset={deep}",
        "admin/ledger",
        f"admin/ledger?offset={deep}",
        "admin/ledger?kind=plan_credit",
        f"admin/ledger?account_id={user_id}",
        "admin/ledger/totals",
    ]
    return [f"/api/{path}" for path in own + admins]


def ask(http: httpx.Client, path: str) -> list[float]:
    """Seconds of each call, the first of which warms the caches."""
    took = []
    for _ in range(TIMES + 1):
        begin = time.monotonic()
        answer = http.get(path)
        took.append(time.monotonic() - begin)
        answer.raise_for_status()
    return took


def measure(someone: Customer) -> bool:
    """Print the table; whether every median met the goal."""
    keys = [key["id"] for key in someone.http.get("/api/keys").json()["items"]]
    print(f"Seeding {RECORDS:,} calls and {USERS:,} users ...", file=sys.stderr)
    asyncio.run(fill(someone.stack.places.database_url, someone.account_id, keys, records=RECORDS, users=USERS))
    print(f"{'milliseconds':<76}{'first':>7}{'p50':>7}{'p99':>7}")
    met = True
    for path in paths(keys[0], someone.account_id):
        first, *took = ask(someone.http, path)
        middle, late = percentile(took, 0.5), percentile(took, 0.99)
        met = met and middle <= GOAL_S
        shown = path.replace(someone.account_id, "{id}").replace(keys[0], "{id}")
        print(f"{shown:<76}{first * 1000:>7.0f}{middle * 1000:>7.0f}{late * 1000:>7.0f}", flush=True)
    return met


def main() -> int:
    """1 where the goal was missed."""
    with stack_of_its_own() as stack, customer(stack) as someone:
        done = stack.command("admin", "create-admin", "--email", someone.email, "--existing")
        done.check_returncode()
        for _ in range(KEYS - 1):
            someone.new_key()
        met = measure(someone)
    print(f"Every median under {GOAL_S * 1000:.0f} ms: {'yes' if met else 'NO'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
