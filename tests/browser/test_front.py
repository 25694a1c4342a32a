"""Signing up, logging in and out, as somebody at a browser does it."""

import re
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.troubles import Troubles
from tests.support.customers import PASSWORD, Customer
from tests.support.stack import RunningStack


def fill_in(page: Page, *, email: str, password: str, button: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name=button, exact=True).click()


def somebody() -> str:
    return f"grace-{uuid4().hex[:12]}@example.com"


def test_a_sign_up_leads_to_the_dashboard_with_the_credit_to_start_with(page: Page) -> None:
    page.goto("/signup")
    with page.expect_response("**/api/auth/signup") as signup:
        fill_in(page, email=somebody(), password=PASSWORD, button="Sign up")
    assert signup.value.status == 201
    page.wait_for_url("/dashboard")
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()
    expect(page.get_by_title("Balance: $1.00")).to_have_text("$1.00")


@pytest.mark.parametrize(
    "email, password, field",
    [
        ("grace", PASSWORD, "E-mail"),
        ("grace@example.com", "short", "Password"),
        ("grace@example.com", "password123", "Password"),
    ],
)
def test_what_cannot_be_right_is_said_before_it_is_sent(page: Page, email: str, password: str, field: str) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.goto("/signup")
    fill_in(page, email=email, password=password, button="Sign up")
    expect(page.get_by_label(field, exact=True)).to_have_accessible_description(re.compile(r"\w"))
    assert "POST" not in sent
    assert page.url.endswith("/signup")


def test_an_address_that_is_taken_is_said_at_its_field(page: Page, troubles: Troubles, alice: Customer) -> None:
    troubles.expect("409 POST /api/auth/signup")
    page.goto("/signup")
    fill_in(page, email=alice.email.upper(), password=PASSWORD, button="Sign up")
    said = "There is a user with this e-mail: log in instead."
    expect(page.get_by_label("E-mail")).to_have_accessible_description(said)
    assert page.url.endswith("/signup")


def test_a_wrong_password_is_said_and_the_right_one_is_let_in(page: Page, troubles: Troubles, alice: Customer) -> None:
    troubles.expect("401 POST /api/auth/login")
    page.goto("/login")
    fill_in(page, email=alice.email, password="not-her-password", button="Log in")
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert page.url.endswith("/login")
    fill_in(page, email=alice.email, password=PASSWORD, button="Log in")
    page.wait_for_url("/dashboard")


def test_an_address_without_https_is_told_to_keep_no_session(page: Page, stack: RunningStack) -> None:
    port = urlsplit(stack.places.dashboard_url).port
    page.goto(f"http://elsewhere.test:{port}/login")
    expect(page.get_by_text("This address is not secure")).to_be_visible()
    assert_accessible(page)
    page.goto("/login")
    page.get_by_role("button", name="Log in", exact=True).wait_for()
    expect(page.get_by_text("This address is not secure")).to_have_count(0)


def test_a_link_to_a_page_leads_there_by_way_of_the_log_in(page: Page, alice: Customer) -> None:
    page.goto("/usage")
    page.wait_for_url("/login?next=%2Fusage")
    fill_in(page, email=alice.email, password=PASSWORD, button="Log in")
    page.wait_for_url("/usage")
    expect(page.get_by_role("heading", level=1, name="Usage")).to_be_visible()


def test_a_link_to_another_site_is_not_followed_after_the_log_in(page: Page, alice: Customer) -> None:
    page.goto("/login?next=//example.com/")
    fill_in(page, email=alice.email, password=PASSWORD, button="Log in")
    page.wait_for_url("/dashboard")


def test_pages_of_admins_are_closed_to_others(signed_in: Page) -> None:
    signed_in.goto("/admin/users")
    signed_in.wait_for_url("/dashboard")
    expect(signed_in.get_by_role("link", name="Audit log")).to_have_count(0)


def test_an_admin_sees_them_in_the_menu(admin_page: Page) -> None:
    admin_page.goto("/dashboard")
    admin_page.get_by_role("link", name="Audit log").click()
    admin_page.wait_for_url("/admin/audit")
    expect(admin_page.get_by_role("heading", level=1)).to_be_visible()


def test_a_sign_up_needs_no_mouse(page: Page) -> None:
    page.goto("/signup")
    page.get_by_role("button", name="Sign up", exact=True).wait_for()
    typed = {"Name": "Grace", "E-mail": somebody(), "Password": PASSWORD}
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        for label, text in list(typed.items()):
            if focused.and_(page.get_by_label(label, exact=True)).count():
                page.keyboard.type(text)
                del typed[label]
        if not typed:
            break
    assert not typed
    page.keyboard.press("Enter")
    page.wait_for_url("/dashboard")
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_front_pages_keep_nobody_out(open_page: OpenPage, scheme: Scheme) -> None:
    page = open_page(scheme=scheme)
    for path, button in (("/signup", "Sign up"), ("/login", "Log in")):
        page.goto(path)
        page.get_by_role("button", name=button, exact=True).wait_for()
        expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)
        assert_accessible(page)
        page.get_by_role("button", name=button, exact=True).click()
        page.locator("[aria-invalid=true]").first.wait_for()
        assert_accessible(page)


@pytest.mark.parametrize("width", [360, 390])
def test_the_front_pages_fit_a_phone(open_page: OpenPage, width: int) -> None:
    phone = open_page(width=width, height=844, touch=True)
    for path, button in (("/signup", "Sign up"), ("/login", "Log in")):
        phone.goto(path)
        phone.get_by_role("button", name=button, exact=True).tap()
        phone.locator("[aria-invalid=true]").first.wait_for()
        assert_fits(phone)
