"""A session that ends while somebody is at work, and what is left of a user who has logged out."""

import re

from playwright.sync_api import Page, expect

from tests.browser.troubles import Troubles
from tests.support.customers import PASSWORD, Customer


def ended(page: Page, someone: Customer) -> None:
    """End the session of the page from elsewhere, and let the page notice, which asks for the balance now and then."""
    page.get_by_title("Balance: $1.00").wait_for()
    assert someone.http.post("/api/auth/logout").status_code == 204
    page.get_by_role("dialog", name="Your session has ended").wait_for()


def test_after_the_log_out_the_pages_and_the_cookie_are_gone(
    signed_in: Page, alice: Customer, troubles: Troubles
) -> None:
    signed_in.goto("/dashboard")
    signed_in.get_by_label(f"Account of {alice.email}").click()
    signed_in.get_by_role("menuitem", name="Log out").click()
    signed_in.wait_for_url("/login")
    assert not [cookie for cookie in signed_in.context.cookies() if cookie["name"] == "pr_session"]
    assert alice.http.get("/api/auth/me").status_code == 401
    signed_in.goto("/keys")
    signed_in.wait_for_url("/login?next=%2Fkeys")


def test_a_session_that_ended_is_taken_up_again_on_the_same_page(
    signed_in: Page, alice: Customer, troubles: Troubles
) -> None:
    troubles.expect("401 ")
    signed_in.goto("/dashboard")
    ended(signed_in, alice)
    password = signed_in.get_by_role("dialog").get_by_label("Password", exact=True)
    expect(password).to_be_focused()
    password.fill("not-her-password")
    password.press("Enter")
    expect(password).to_have_accessible_description(re.compile(r"\w"))
    password.fill(PASSWORD)
    password.press("Enter")
    expect(signed_in.get_by_role("dialog")).to_have_count(0)
    assert signed_in.url.endswith("/dashboard")
    expect(signed_in.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()


def test_somebody_else_may_log_in_after_a_session_that_ended(
    signed_in: Page, alice: Customer, operator: Customer, troubles: Troubles
) -> None:
    troubles.expect("401 ")
    signed_in.goto("/dashboard")
    ended(signed_in, alice)
    signed_in.get_by_role("link", name="Log in as somebody else").click()
    signed_in.get_by_label("E-mail").fill(operator.email)
    signed_in.get_by_label("Password", exact=True).fill(PASSWORD)
    signed_in.get_by_role("button", name="Log in").click()
    signed_in.wait_for_url("/dashboard")
    expect(signed_in.get_by_label(f"Account of {operator.email}")).to_be_visible()
