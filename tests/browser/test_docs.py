"""The quickstart at a browser."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.keyboard import tab_to
from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.people import MODEL, sign_in
from tests.support.customers import Customer


def test_the_calls_have_the_readers_address_key_and_model(signed_in: Page, alice: Customer) -> None:
    key = alice.all_of("/api/keys")[0]
    signed_in.goto("/docs")
    curl = signed_in.get_by_role("region", name="First call in curl")
    expect(curl).to_contain_text(f"curl {alice.stack.places.dashboard_url}/v1/chat/completions")
    expect(curl).to_contain_text(f"Bearer {key['key_prefix']}...")
    signed_in.get_by_role("combobox", name="Model").click()
    signed_in.get_by_role("option", name=MODEL, exact=True).click()
    for label in ("First call in curl", "A stream in Python", "Anthropic's SDK in Python"):
        expect(signed_in.get_by_role("region", name=label)).to_contain_text(f'"{MODEL}"')


def test_who_has_no_key_is_led_to_one(signed_in: Page, alice: Customer) -> None:
    for key in alice.all_of("/api/keys"):
        alice.http.delete(f"/api/keys/{key['id']}")
    signed_in.goto("/docs")
    signed_in.get_by_role("link", name="Make one").click()
    signed_in.wait_for_url("/keys")


def test_the_reference_of_the_api_is_a_click_away(signed_in: Page) -> None:
    signed_in.goto("/docs")
    reference = signed_in.get_by_role("link", name="API reference")
    assert signed_in.request.get(reference.get_attribute("href") or "").status == 200


def test_the_docs_need_no_mouse(signed_in: Page) -> None:
    signed_in.goto("/docs")
    tab = signed_in.get_by_role("tab", name="curl")
    tab.wait_for()
    tab_to(signed_in, tab)
    signed_in.keyboard.press("ArrowRight")
    code = signed_in.get_by_role("region", name="First call in Python")
    code.wait_for()
    tab_to(signed_in, code)
    tab_to(signed_in, signed_in.get_by_label("Copy: A stream in Python"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_docs_keep_nobody_out(open_page: OpenPage, alice: Customer, scheme: Scheme) -> None:
    page = sign_in(open_page(scheme=scheme), alice)
    page.goto("/docs")
    page.get_by_role("region", name="First call in curl").wait_for()
    assert_accessible(page)


@pytest.mark.parametrize("width", [360, 390])
def test_the_docs_fit_a_phone(open_page: OpenPage, alice: Customer, width: int) -> None:
    phone = sign_in(open_page(width=width, height=844, touch=True), alice)
    phone.goto("/docs")
    phone.get_by_role("region", name="First call in curl").wait_for()
    assert_fits(phone)
