"""Billing at a browser: topping up, the ledger, the plan."""

import csv
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from tests.browser.keyboard import tab_to
from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.people import charged, chat, sign_in
from tests.browser.troubles import Troubles
from tests.support.customers import Customer

DOLLAR = 10**9


def ledger(page: Page) -> Locator:
    return page.get_by_role("table", name="Ledger")


def test_a_top_up_shows_at_once(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/billing")
    signed_in.get_by_title("Balance: $1.00").wait_for()
    signed_in.get_by_role("button", name="$10", exact=True).click()
    expect(signed_in.get_by_text("$10.00 added.")).to_be_visible()
    # What the answer said; nothing was asked for it.
    assert signed_in.get_by_title("Balance: $11.00").is_visible()
    first = ledger(signed_in).get_by_role("row").nth(1)
    expect(first).to_contain_text("Top-up")
    expect(first).to_contain_text("$10.00")
    assert alice.balance_nanos() == 11 * DOLLAR


def test_a_double_click_books_once(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/billing")
    sent: list[Request] = []
    signed_in.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    # Between the two clicks of a person, however slow the machine is.
    signed_in.clock.set_fixed_time(datetime(2026, 11, 28, tzinfo=UTC))
    button = signed_in.get_by_role("button", name="$25", exact=True)
    button.dblclick()
    expect(signed_in.get_by_text("$25.00 added.")).to_be_visible()
    # And one whose second click comes after the answer.
    with signed_in.expect_response("**/api/billing/topup"):
        button.click()
    expect(signed_in.get_by_title("Balance: $26.00")).to_be_visible()
    assert len({request.headers["idempotency-key"] for request in sent}) == 1
    assert alice.balance_nanos() == 26 * DOLLAR
    # Later it is another decision.
    signed_in.clock.set_fixed_time(datetime(2026, 11, 28, 0, 0, 2, tzinfo=UTC))
    button.click()
    expect(signed_in.get_by_title("Balance: $51.00")).to_be_visible()
    assert alice.balance_nanos() == 51 * DOLLAR


def test_a_top_up_whose_answer_is_lost_is_booked_once(signed_in: Page, alice: Customer, troubles: Troubles) -> None:
    troubles.expect("POST /api/billing/topup")
    signed_in.goto("/billing")

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    signed_in.route("**/api/billing/topup", lose, times=1)
    button = signed_in.get_by_role("button", name="$50", exact=True)
    button.click()
    expect(signed_in.get_by_text("does not answer").first).to_be_visible()
    button.click()
    expect(signed_in.get_by_text("$50.00 added.")).to_be_visible()
    assert alice.balance_nanos() == 51 * DOLLAR


@pytest.mark.parametrize("amount", ["1000000", "-10", "0.01", "1e3"])
def test_an_amount_that_was_tampered_with_is_refused(
    signed_in: Page, alice: Customer, troubles: Troubles, amount: str
) -> None:
    troubles.expect("400 POST /api/billing/topup")
    signed_in.goto("/billing")
    body = json.dumps({"amount_usd": amount})
    signed_in.route("**/api/billing/topup", lambda route: route.continue_(post_data=body))
    signed_in.get_by_role("button", name="$10", exact=True).click()
    expect(signed_in.get_by_text("amount_usd").first).to_be_visible()
    expect(signed_in.get_by_title("Balance: $1.00")).to_be_visible()
    assert alice.balance_nanos() == DOLLAR


def test_the_ledger_has_every_line_and_leads_to_the_call(signed_in: Page, alice: Customer) -> None:
    request_id = chat(alice, max_tokens=5)
    charged(alice, request_id)
    signed_in.goto("/billing")
    lines = ledger(signed_in).get_by_role("row")
    expect(lines).to_have_count(3)
    expect(lines.nth(1)).to_contain_text("Charge")
    expect(lines.nth(1)).to_contain_text("-$0.0")
    expect(lines.nth(2)).to_contain_text("Plan credit")
    expect(lines.nth(2)).to_contain_text("$1.00")
    signed_in.get_by_role("combobox", name="Kind of line").click()
    signed_in.get_by_role("option", name="Plan credit").click()
    expect(lines).to_have_count(2)
    assert signed_in.url.endswith("/billing?kind=plan_credit")
    signed_in.go_back()
    expect(lines).to_have_count(3)
    lines.nth(1).get_by_role("link").click()
    signed_in.wait_for_url(f"/usage?event={request_id}")


def test_the_ledger_is_taken_away_as_csv(signed_in: Page, alice: Customer, tmp_path: Path) -> None:
    charged(alice, chat(alice, max_tokens=5))
    alice.http.post("/api/billing/topup", json={"amount_usd": 10})
    signed_in.goto("/billing")
    with signed_in.expect_download() as download:
        signed_in.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    facts = ("id", "kind", "amount_usd")
    listed = alice.all_of("/api/billing/transactions")
    assert [[row[fact] for fact in facts] for row in rows] == [[line[fact] for fact in facts] for line in listed]
    assert [row["kind"] for row in rows] == ["top_up", "charge", "plan_credit"]


def test_a_long_ledger_is_read_page_by_page(signed_in: Page, alice: Customer) -> None:
    for _ in range(21):
        assert alice.http.post("/api/billing/topup", json={"amount_usd": 10}).status_code == 200
    signed_in.goto("/billing")
    pages = signed_in.get_by_role("navigation", name="Pages of the list")
    expect(pages).to_contain_text(re.compile("1.20 of 22"))
    pages.get_by_role("button", name="Older").click()
    expect(pages).to_contain_text(re.compile("21.22 of 22"))
    expect(ledger(signed_in).get_by_role("row").last).to_contain_text("Plan credit")
    signed_in.reload()
    expect(pages).to_contain_text(re.compile("21.22 of 22"))


def test_credit_is_added_without_a_mouse(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/billing")
    button = signed_in.get_by_role("button", name="$100", exact=True)
    button.wait_for()
    tab_to(signed_in, button)
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_text("$100.00 added.")).to_be_visible()
    tab_to(signed_in, signed_in.get_by_role("link", name="CSV"))
    assert alice.balance_nanos() == 101 * DOLLAR


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_billing_keeps_nobody_out(open_page: OpenPage, alice: Customer, scheme: Scheme) -> None:
    page = sign_in(open_page(scheme=scheme), alice)
    charged(alice, chat(alice))
    page.goto("/billing")
    expect(ledger(page).get_by_role("row")).to_have_count(3)
    page.get_by_text("requests a minute").wait_for()
    assert_accessible(page)
    page.goto("/billing?kind=adjustment")
    page.get_by_text("No such lines").wait_for()
    assert_accessible(page)


@pytest.mark.parametrize("width", [360, 390])
def test_billing_fits_a_phone(open_page: OpenPage, alice: Customer, width: int) -> None:
    phone = sign_in(open_page(width=width, height=844, touch=True), alice)
    charged(alice, chat(alice))
    phone.goto("/billing")
    expect(ledger(phone).get_by_role("row")).to_have_count(3)
    assert_fits(phone)
