"""The catalogue at a browser."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.keyboard import tab_to
from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.people import MODEL, sign_in
from tests.support.customers import Customer

HTML = "<img src=x onerror=globalThis.injected=1><b>bold"


def rows(page: Page) -> Locator:
    return page.get_by_role("table", name="Models and their prices").get_by_role("row")


def test_every_model_has_its_prices_as_the_api_has_them(signed_in: Page, alice: Customer) -> None:
    listed = alice.http.get("/api/models").json()["items"]
    signed_in.goto("/models")
    expect(rows(signed_in)).to_have_count(len(listed) + 1)
    for model in listed:
        row = rows(signed_in).filter(has=signed_in.get_by_text(model["public_name"], exact=True))
        for price in ("input_usd_per_mtok", "cached_input_usd_per_mtok"):
            dollars = re.sub(r"(\.\d\d+?)0+$", r"\1", model[price])
            expect(row).to_contain_text(f"${dollars}")


def test_models_are_searched_and_narrowed_to_the_plan(signed_in: Page) -> None:
    signed_in.goto("/models")
    all_rows = rows(signed_in)
    expect(all_rows.filter(has_text="Not in free").first).to_be_visible()
    signed_in.get_by_label("Search models").fill("ROUTER/FAST")
    expect(all_rows).to_have_count(2)
    expect(all_rows.nth(1)).to_contain_text(MODEL)
    signed_in.get_by_label("Search models").fill("no such model")
    expect(signed_in.get_by_text("No model matches")).to_be_visible()
    signed_in.get_by_label("Search models").fill("")
    signed_in.get_by_text("In my plan", exact=True).click()
    expect(all_rows.filter(has_text="Not in free")).to_have_count(0)
    expect(all_rows.filter(has_text=MODEL)).to_be_visible()


def test_a_model_is_tried_in_the_playground(signed_in: Page) -> None:
    signed_in.goto("/models")
    signed_in.get_by_role("link", name=f"Try {MODEL}").click()
    signed_in.wait_for_url(re.compile(r"/playground\?"))
    assert "model=" in signed_in.url


def test_a_name_with_html_in_it_is_text(signed_in: Page) -> None:
    def rename(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["items"][0].update(public_name=HTML, family=HTML)
        route.fulfill(response=answer, json=body)

    def allow_all(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        for plan in body["items"]:
            plan["all_models"] = True
        route.fulfill(response=answer, json=body)

    signed_in.route("**/api/models", rename)
    signed_in.route("**/api/plans", allow_all)
    for path in ("/models", "/docs", "/keys"):
        signed_in.goto(path)
        if path == "/keys":
            signed_in.get_by_role("button", name="Create new key").click()
            signed_in.get_by_role("combobox", name="Models").click()
        if path == "/docs":
            signed_in.get_by_role("combobox", name="Model").click()
        expect(signed_in.get_by_text(HTML).first).to_be_visible()
        assert signed_in.locator("img[src=x]").count() == 0
        assert signed_in.evaluate("() => globalThis.injected") is None


def test_the_models_need_no_mouse(signed_in: Page) -> None:
    signed_in.goto("/models")
    link = signed_in.get_by_role("link", name=f"Try {MODEL}")
    link.wait_for()
    search = signed_in.get_by_label("Search models")
    tab_to(signed_in, search)
    signed_in.keyboard.type("fast")
    tab_to(signed_in, signed_in.get_by_label(f"Copy {MODEL}"))
    tab_to(signed_in, link)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_models_keep_nobody_out(open_page: OpenPage, alice: Customer, scheme: Scheme) -> None:
    page = sign_in(open_page(scheme=scheme), alice)
    page.goto("/models")
    page.get_by_text("Not in free").first.wait_for()
    assert_accessible(page)


@pytest.mark.parametrize("width", [360, 390])
def test_the_models_fit_a_phone(open_page: OpenPage, alice: Customer, width: int) -> None:
    phone = sign_in(open_page(width=width, height=844, touch=True), alice)
    phone.goto("/models")
    phone.get_by_text("Not in free").first.wait_for()
    assert_fits(phone)
