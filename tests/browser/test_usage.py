"""What was called: the list with its filters, one call explained, and all of it as CSV."""

import csv
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.people import MODEL, charged, chat, sign_in
from tests.browser.test_dashboard import shown
from tests.browser.troubles import Troubles
from tests.support.customers import Customer

CACHING = json.dumps({"prompt_tokens": 100, "cached_tokens": 40, "written_tokens": 8})


def rows(page: Page) -> Locator:
    return page.get_by_role("table", name="Calls").locator("tbody tr:not([aria-hidden])")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def amounts(table: Locator) -> dict[str, str]:
    """Each line of a bill, once it is there, with its last cell."""
    expect(table.get_by_role("row").last).to_contain_text("Charged")
    found = table.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [row.cells[0].textContent, row.cells[row.cells.length - 1].textContent])"
    )
    return dict(found)


def test_the_list_shows_what_the_api_says(signed_in: Page, alice: Customer) -> None:
    charged(alice, chat(alice, user=CACHING), chat(alice, max_tokens=3))
    newest, oldest = alice.all_of("/api/usage")
    signed_in.goto("/usage")
    expect(rows(signed_in)).to_have_count(2)
    for row, event in zip(rows(signed_in).all(), (newest, oldest), strict=True):
        cells = row.get_by_role("cell")
        expect(cells.nth(1)).to_have_text(MODEL)
        expect(cells.nth(2)).to_have_text("a test")
        expect(cells.nth(3)).to_have_text(str(event["input_tokens"]))
        expect(cells.nth(4)).to_have_text(str(event["output_tokens"]))
        expect(cells.nth(6)).to_have_text(shown(event["cost_usd"]))
        expect(cells.nth(7)).to_have_text("Success")
        expect(cells.nth(7)).to_be_in_viewport(ratio=1)
    classes = rows(signed_in).nth(1).get_by_role("button")
    classes.focus()
    expect(signed_in.get_by_role("tooltip")).to_have_text("of which 40 from the cache, 8 written into the cache")


def test_a_new_call_appears_without_a_reload(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/usage")
    expect(signed_in.get_by_text("No calls yet")).to_be_visible()
    charged(alice, chat(alice))
    expect(rows(signed_in)).to_have_count(1)


def test_a_charge_is_explained_line_by_line(signed_in: Page, alice: Customer) -> None:
    call = chat(alice, user=CACHING)
    charged(alice, call)
    detail = alice.usage(call)
    assert detail
    signed_in.goto("/usage")
    rows(signed_in).get_by_role("link").click()
    signed_in.wait_for_url(f"/usage?event={call}")
    dialog = signed_in.get_by_role("dialog", name="Call")

    bill = amounts(dialog.get_by_role("table", name="Cost"))
    names = {
        "input": "Input",
        "cached_input": "Input from the cache",
        "cache_write_input": "Input written into the cache",
        "output": "Output",
    }
    assert {line["item"] for line in detail["price_lines"]} == set(names)
    assert bill == {
        **{names[line["item"]]: f"= ${line['exact_usd']}" for line in detail["price_lines"]},
        "Sum": f"${detail['rounding']['exact_usd']}",
        "Rounded up to $0.000000001": shown(detail["rounding"]["rounded_usd"]),
        "Charged": shown(detail["event"]["cost_usd"]),
    }
    for text in (detail["price_version_id"], detail["lease_id"], call):
        expect(dialog.get_by_text(text, exact=True)).to_be_visible()
    expect(dialog.get_by_text(f"{shown(detail['held_usd'])} while it ran")).to_be_visible()
    expect(dialog.get_by_text(f"You have paid {shown(detail['ledger']['paid_usd'])}.")).to_be_visible()
    [transaction] = detail["ledger"]["transactions"]
    ledger = dialog.get_by_role("table", name="Ledger transactions")
    expect(ledger.get_by_title(transaction["id"])).to_be_visible()
    expect(ledger.get_by_role("cell").last).to_have_text(f"-{shown(transaction['amount_usd'].removeprefix('-'))}")


def test_the_address_of_a_call_leads_to_it_and_its_id_is_copied(signed_in: Page, alice: Customer) -> None:
    call = chat(alice)
    charged(alice, call)
    signed_in.context.grant_permissions(["clipboard-read", "clipboard-write"])
    signed_in.goto(f"/usage?event={call}")
    signed_in.get_by_role("button", name="Copy the request id").click()
    assert signed_in.evaluate("() => navigator.clipboard.readText()") == call
    signed_in.keyboard.press("Escape")
    signed_in.wait_for_url(re.compile(r"/usage$"))
    expect(signed_in.get_by_role("dialog")).to_have_count(0)


def test_a_call_of_somebody_else_is_not_found(
    open_page: OpenPage, troubles: Troubles, alice: Customer, operator: Customer
) -> None:
    call = chat(alice)
    charged(alice, call)
    troubles.expect(f"404 GET /api/usage/{call}")
    page = sign_in(open_page(), operator)
    with page.expect_response(f"**/api/usage/{call}") as asked:
        page.goto(f"/usage?event={call}")
    assert asked.value.status == 404


def test_filters_stand_in_the_address_and_the_csv_has_the_same_calls(signed_in: Page, alice: Customer) -> None:
    other = alice.new_key()
    first = chat(alice)
    answer = alice.http.post(
        "/v1/chat/completions",
        json={"model": MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]},
        headers={"authorization": f"Bearer {other}"},
    )
    second = answer.headers["x-request-id"]
    charged(alice, first, second)
    key_of = {event["id"]: event["api_key_id"] for event in alice.all_of("/api/usage")}

    signed_in.goto(f"/usage?key={key_of[second]}&period=today")
    expect(rows(signed_in)).to_have_count(1)
    rows(signed_in).get_by_role("link").click()
    signed_in.wait_for_url(f"**event={second}")
    signed_in.keyboard.press("Escape")

    with signed_in.expect_download() as download:
        signed_in.get_by_role("link", name="Download CSV").click()
    downloaded = download.value.path().read_text().splitlines()
    assert [row["id"] for row in csv.DictReader(downloaded)] == [second]

    choose(signed_in, "Status", "Cancelled")
    signed_in.wait_for_url("**status=cancelled**")
    expect(signed_in.get_by_text("No calls match these filters")).to_be_visible()
    signed_in.get_by_role("button", name="Clear filters").click()
    signed_in.wait_for_url(re.compile(r"/usage$"))
    expect(rows(signed_in)).to_have_count(2)
    choose(signed_in, "Model", MODEL)
    signed_in.wait_for_url("**model=**")
    expect(rows(signed_in)).to_have_count(2)


def test_days_are_the_viewers_own_and_asked_for_in_utc(signed_in: Page, alice: Customer) -> None:
    charged(alice, chat(alice))
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    signed_in.goto("/usage")
    choose(signed_in, "Period", "Custom")
    with signed_in.expect_request(lambda request: "/api/usage?" in request.url and "from=" in request.url) as asked:
        signed_in.get_by_label("From").fill(tomorrow)
    local = signed_in.evaluate("day => new Date(`${day}T00:00`).toISOString()", tomorrow)
    assert local.replace(":", "%3A") in asked.value.url
    expect(signed_in.get_by_text("No calls match these filters")).to_be_visible()
    signed_in.get_by_role("button", name="Show all calls").click()
    expect(rows(signed_in)).to_have_count(1)


def test_a_second_page_has_its_own_address_and_stands_still(signed_in: Page, alice: Customer) -> None:
    alice.move_to("pro")
    calls = [chat(alice, max_tokens=1) for _ in range(26)]
    charged(alice, *calls)
    signed_in.goto("/usage")
    expect(rows(signed_in)).to_have_count(25)
    signed_in.get_by_role("button", name="Older").click()
    signed_in.wait_for_url("**offset=25**")
    expect(rows(signed_in)).to_have_count(1)
    asked: list[str] = []
    signed_in.on("request", lambda request: asked.append(request.url))
    # Longer than the first page waits until it asks again; the chart above does ask.
    with signed_in.expect_request(lambda request: "/api/usage/summary" in request.url):
        pass
    assert not [url for url in asked if "/api/usage?" in url]


def test_charts_are_split_by_key_and_lead_to_its_calls(signed_in: Page, alice: Customer) -> None:
    charged(alice, chat(alice), chat(alice))
    totals = alice.http.get("/api/usage/summary").json()["totals"]
    signed_in.goto("/usage?view=key")
    shares = signed_in.get_by_role("table", name="Shares by key")
    expect(shares.get_by_role("cell").last).to_have_attribute("title", shown(totals["cost_usd"]))
    signed_in.get_by_text("Tokens", exact=True).first.click()
    tokens = totals["input_tokens"] + totals["output_tokens"]
    expect(signed_in.get_by_role("heading", name=f"Tokens {tokens}")).to_be_visible()
    shares.get_by_role("button", name="a test").click()
    signed_in.wait_for_url("**key=**")
    expect(rows(signed_in)).to_have_count(2)


def test_a_call_is_opened_and_left_without_a_mouse(signed_in: Page, alice: Customer) -> None:
    call = chat(alice)
    charged(alice, call)
    signed_in.goto("/usage")
    link = rows(signed_in).get_by_role("link")
    link.focus()
    signed_in.keyboard.press("Enter")
    dialog = signed_in.get_by_role("dialog", name="Call")
    expect(dialog.get_by_text(call, exact=True)).to_be_visible()
    assert dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    signed_in.keyboard.press("Escape")
    expect(link).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_and_the_call_keep_nobody_out(open_page: OpenPage, alice: Customer, scheme: Scheme) -> None:
    page = sign_in(open_page(scheme=scheme), alice)
    page.goto("/usage")
    page.get_by_text("No calls yet").wait_for()
    page.get_by_role("figure").wait_for()
    assert_accessible(page)
    call = chat(alice, user=CACHING)
    charged(alice, call)
    page.goto("/usage?view=model")
    rows(page).first.wait_for()
    page.get_by_role("figure").wait_for()
    assert_accessible(page)
    page.goto(f"/usage?event={call}")
    page.get_by_role("table", name="Ledger transactions").wait_for()
    assert_accessible(page)


def test_the_page_and_the_call_fit_a_phone(open_page: OpenPage, alice: Customer) -> None:
    call = chat(alice, user=CACHING)
    charged(alice, call)
    phone = sign_in(open_page(width=360, height=740, touch=True), alice)
    phone.goto("/usage?view=key&period=custom")
    rows(phone).first.wait_for()
    phone.get_by_role("figure").wait_for()
    assert_fits(phone)
    phone.goto(f"/usage?event={call}")
    bill = phone.get_by_role("table", name="Cost", exact=True)
    bill.wait_for()
    assert_fits(phone)
    # The amounts are in sight without scrolling.
    box = bill.bounding_box()
    assert box
    assert box["x"] + box["width"] <= 360
