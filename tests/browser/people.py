"""What tests do with somebody's account beside the browser."""

from typing import Any

from playwright.sync_api import Page

from tests.support.customers import Customer
from tests.support.stack import until

MODEL = "privaterouter/fast"
"""Is served by the upstream of the tests."""


def sign_in(page: Page, someone: Customer, *, origin: str = "") -> Page:
    """The same page, with the session of somebody who has signed up over the API; `origin`: not the dashboard's own."""
    page.context.add_cookies(
        [
            {
                "name": "pr_session",
                "value": someone.http.cookies["pr_session"],
                "url": origin or someone.stack.places.dashboard_url,
                "httpOnly": True,
                "sameSite": "Lax",
            }
        ]
    )
    return page


def chat(someone: Customer, text: str = "Hello", **body: Any) -> str:
    """One chat completion with their API key; its request id."""
    body = {"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": text}], **body}
    answer = someone.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {someone.key}"})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-request-id"]


def charged(someone: Customer, *request_ids: str) -> None:
    """Return once these calls are in the usage list and debited."""

    def booked() -> bool:
        debits = {row["request_id"] for row in someone.all_of("/api/billing/transactions", kind="charge")}
        listed = {row["id"] for row in someone.all_of("/api/usage")}
        return set(request_ids) <= debits & listed

    until(booked, what=lambda: f"charges of {request_ids}")
