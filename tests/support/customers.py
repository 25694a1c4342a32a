"""Somebody with an account, keys and a balance on a running stack, as seen from outside: over HTTP only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import openai

from kit.money import parse_usd
from tests.support.stack import RunningStack

PASSWORD = "correct-horse-battery-staple"


class Customer:
    """One user. `key` is an API key without limits; `http` is logged in to `/api`."""

    def __init__(self, stack: RunningStack, http: httpx.Client, *, email: str) -> None:
        self.stack = stack
        self.http = http
        self.email = email
        user = self._session("signup", name="Alice")
        self.account_id: str = user["id"]
        self.key = self.new_key()

    @property
    def v1(self) -> str:
        """Base URL for an OpenAI client."""
        return f"{self.stack.places.api_url}/v1"

    def follow(self, stack: RunningStack) -> None:
        """Go on at another stack with the same data, in a new session."""
        self.stack = stack
        self.http.base_url = stack.places.api_url
        self._session("login")

    def new_key(self, **limits: Any) -> str:
        """Another API key."""
        answer = self.http.post("/api/keys", json={"name": "a test", **limits})
        assert answer.status_code == 201, answer.text
        key: str = answer.json()["key"]
        return key

    def move_to(self, plan: str) -> None:
        """Change the plan, with the credit that comes with it."""
        done = self.stack.command("admin", "set-plan", "--email", self.email, "--plan", plan)
        assert done.returncode == 0, done.stderr

    def set_balance(self, nanos: int) -> None:
        """Correct the balance to exactly this much."""
        change = nanos - self.balance_nanos()
        amount = f"{'-' if change < 0 else ''}{abs(change) // 10**9}.{abs(change) % 10**9:09d}"
        command = ("admin", "add-credit", "--email", self.email, "--reason", "a test", "--amount-usd", amount)
        done = self.stack.command(*command)
        assert done.returncode == 0, done.stderr

    def balance_nanos(self) -> int:
        """What `/api/billing/balance` says."""
        return parse_usd(self._get("/api/billing/balance")["balance_usd"])

    def ask(self) -> tuple[str, int]:
        """One answer that is not streamed: its id, and the nano-dollars that its header says it cost."""
        with openai.OpenAI(base_url=self.v1, api_key=self.key, max_retries=0) as client:
            answer = client.chat.completions.with_raw_response.create(
                model="privaterouter/fast", messages=[{"role": "user", "content": "Hello"}], max_tokens=8
            )
        return answer.headers["x-request-id"], parse_usd(answer.headers["x-privaterouter-cost-usd"])

    def usage(self, request_id: str) -> dict[str, Any] | None:
        """The usage event of a call with its price lines; None where there is none (yet)."""
        answer = self.http.get(f"/api/usage/{request_id}")
        assert answer.status_code in {200, 404}, answer.text
        found: dict[str, Any] = answer.json()
        return found if answer.status_code == 200 else None

    def all_of(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Every item of a list."""
        items: list[dict[str, Any]] = []
        while True:
            page = self._get(path, limit="200", offset=str(len(items)), **query)
            items += page["items"]
            if len(items) >= page["total"]:
                return items

    def _session(self, route: str, **more: str) -> dict[str, Any]:
        answer = self.http.post(f"/api/auth/{route}", json={"email": self.email, "password": PASSWORD, **more})
        assert answer.is_success, answer.text
        self.http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        user: dict[str, Any] = answer.json()["user"]
        return user

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def customer(stack: RunningStack) -> Iterator[Customer]:
    """Somebody new, on the plan `free` with $1.00."""
    with httpx.Client(base_url=stack.places.api_url, timeout=30) as http:
        yield Customer(stack, http, email=f"alice-{uuid4().hex[:12]}@example.com")
