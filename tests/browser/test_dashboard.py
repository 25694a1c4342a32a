"""The first page after the log-in: first steps until there is a call, then what was spent."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.people import MODEL, charged, chat, sign_in
from tests.support.customers import Customer


def shown(usd: str) -> str:
    """An amount of the API as the pages show it exactly."""
    whole, _, fraction = usd.partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def figure(page: Page, label: str) -> str:
    """What a card says, exactly: its title where it is rounded."""
    card = page.locator(".mantine-Card-root").filter(has=page.get_by_text(label, exact=True))
    return card.locator("[title]").first.get_attribute("title") or ""


def test_until_the_first_call_the_first_steps_are_shown_and_ticked_off(signed_in: Page, alice: Customer) -> None:
    signed_in.context.grant_permissions(["clipboard-read", "clipboard-write"])
    signed_in.goto("/dashboard")
    expect(signed_in.get_by_role("heading", name="Make an API key (done)")).to_be_visible()
    expect(signed_in.get_by_role("heading", name="Call the API", exact=True)).to_be_visible()
    expect(signed_in.get_by_role("link", name="Open the playground")).to_have_attribute("href", "/playground")

    signed_in.get_by_role("button", name="Copy: A first call with curl").click()
    expect(signed_in.get_by_role("heading", name="Call the API (done)")).to_be_visible()
    copied = signed_in.evaluate("() => navigator.clipboard.readText()")
    assert f"{alice.stack.places.dashboard_url}/v1/chat/completions" in copied
    # The plan free allows no other chat model.
    assert f'"model": "{MODEL}"' in copied


def test_the_first_call_takes_their_place_without_a_reload(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/dashboard")
    expect(signed_in.get_by_role("heading", name="First steps")).to_be_visible()
    charged(alice, chat(alice))
    expect(signed_in.get_by_role("heading", name="Latest requests")).to_be_visible()
    expect(signed_in.get_by_role("heading", name="First steps")).to_have_count(0)


def test_balance_and_sums_are_those_of_the_api(signed_in: Page, alice: Customer) -> None:
    charged(alice, *[chat(alice, max_tokens=count) for count in (3, 5, 7)])
    totals = alice.http.get("/api/usage/summary").json()["totals"]
    signed_in.goto("/dashboard")
    for label in ("Today", "Last 7 days", "Last 30 days"):
        card = signed_in.locator(".mantine-Card-root").filter(has=signed_in.get_by_text(label, exact=True))
        expect(card.get_by_text("3 requests")).to_be_visible()
        assert figure(signed_in, label) == shown(totals["cost_usd"])
    balance = alice.http.get("/api/billing/balance").json()["balance_usd"]
    expect(signed_in.get_by_title(f"Balance: {shown(balance)}")).to_be_visible()
    assert figure(signed_in, "Balance") == shown(balance)

    row = signed_in.get_by_role("table", name="Spend by model, last 7 days").get_by_role("row").nth(1)
    expect(row).to_contain_text(re.compile(rf"^{MODEL}3"))
    expect(row.get_by_role("cell").last).to_have_attribute("title", shown(totals["cost_usd"]))
    signed_in.get_by_text("30 days", exact=True).click()
    days = signed_in.get_by_role("figure", name="Spend by day and model, last 30 days")
    # Only the day that has calls is told to those who can't see the bars.
    expect(days.get_by_role("row")).to_have_count(1)
    expect(days.get_by_role("cell")).to_have_text(shown(totals["cost_usd"]))


def test_a_row_leads_to_its_call_on_the_usage_page(signed_in: Page, alice: Customer) -> None:
    call = chat(alice)
    charged(alice, call)
    signed_in.goto("/dashboard")
    table = signed_in.get_by_role("table", name="Latest requests")
    table.get_by_text(MODEL).click()
    signed_in.wait_for_url(f"/usage?event={call}")
    expect(signed_in.get_by_role("dialog", name="Call").get_by_text(call)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_keeps_nobody_out(open_page: OpenPage, alice: Customer, scheme: Scheme) -> None:
    page = sign_in(open_page(scheme=scheme), alice)
    page.goto("/dashboard")
    page.get_by_role("heading", name="First steps").wait_for()
    assert_accessible(page)
    charged(alice, chat(alice))
    page.get_by_role("figure").wait_for()
    assert_accessible(page)


def test_it_fits_a_phone(open_page: OpenPage, alice: Customer) -> None:
    phone = sign_in(open_page(width=360, height=740, touch=True), alice)
    phone.goto("/dashboard")
    phone.get_by_role("heading", name="First steps").wait_for()
    assert_fits(phone)
    charged(alice, chat(alice))
    phone.get_by_role("figure").wait_for()
    assert_fits(phone)
