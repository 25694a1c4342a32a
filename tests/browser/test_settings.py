"""What people change about themselves, at a browser."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.keyboard import tab_to
from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.people import sign_in
from tests.browser.troubles import Troubles
from tests.support.customers import PASSWORD, Customer

OTHER = "another-horse-battery-staple"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/26.0 Mobile/15E148 Safari/604.1"
)


class LogIn(Protocol):
    """Type of the fixture `logged_in`."""

    def __call__(self, someone: Customer, password: str = PASSWORD, agent: str = PHONE) -> httpx.Client:
        """Another session of the same user; AssertionError where the password is wrong."""


@pytest.fixture
def logged_in() -> Iterator[LogIn]:
    """Logs in from elsewhere: `logged_in(alice, agent="curl/8.5.0")`."""
    with ExitStack() as clients:

        def log_in(someone: Customer, password: str = PASSWORD, agent: str = PHONE) -> httpx.Client:
            address = someone.stack.places.api_url
            client = clients.enter_context(httpx.Client(base_url=address, headers={"user-agent": agent}))
            answer = client.post("/api/auth/login", json={"email": someone.email, "password": password})
            assert answer.status_code == 200, answer.text
            client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
            return client

        yield log_in


def change_password(page: Page, current: str, wanted: str) -> None:
    page.get_by_label("Current password", exact=True).fill(current)
    page.get_by_label("New password", exact=True).fill(wanted)
    page.get_by_role("button", name="Change password").click()


def test_a_name_is_changed_and_shown(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/settings")
    save = signed_in.get_by_role("button", name="Save name")
    expect(signed_in.get_by_label("E-mail")).to_have_value(alice.email)
    expect(signed_in.get_by_label("Name", exact=True)).to_have_value("Alice")
    expect(save).to_be_disabled()
    signed_in.get_by_label("Name", exact=True).fill("  Alice <b>Liddell</b> ")
    save.click()
    expect(signed_in.get_by_text("Your name is changed.")).to_be_visible()
    expect(signed_in.get_by_label("Name", exact=True)).to_have_value("Alice <b>Liddell</b>")
    expect(save).to_be_disabled()
    assert alice.http.get("/api/auth/me").json()["name"] == "Alice <b>Liddell</b>"
    signed_in.get_by_label(f"Account of {alice.email}").click()
    expect(signed_in.get_by_role("menu").get_by_text("Alice <b>Liddell</b>")).to_be_visible()


def test_a_password_is_changed_and_ends_the_other_sessions(signed_in: Page, alice: Customer, logged_in: LogIn) -> None:
    elsewhere = logged_in(alice)
    signed_in.goto("/settings")
    signed_in.get_by_text("Safari on iPhone").wait_for()
    expect(signed_in.get_by_label("not yet:")).to_have_count(2)
    signed_in.get_by_label("New password", exact=True).fill(OTHER)
    expect(signed_in.get_by_label("met:", exact=True)).to_have_count(2)
    change_password(signed_in, PASSWORD, OTHER)
    expect(signed_in.get_by_text("all your other sessions were ended")).to_be_visible()
    expect(signed_in.get_by_label("Current password", exact=True)).to_have_value("")
    expect(signed_in.get_by_text("Safari on iPhone")).to_have_count(0)
    assert elsewhere.get("/api/auth/me").status_code == 401
    assert alice.http.get("/api/auth/me").status_code == 200
    assert logged_in(alice, OTHER).get("/api/auth/me").status_code == 200


def test_a_wrong_password_is_said_at_its_field(
    signed_in: Page, alice: Customer, logged_in: LogIn, troubles: Troubles
) -> None:
    troubles.expect("400 POST /api/auth/password")
    signed_in.goto("/settings")
    change_password(signed_in, "not-her-password", OTHER)
    expect(signed_in.get_by_label("Current password", exact=True)).to_have_accessible_description(re.compile(r"\w"))
    # What it was goes on to be valid, and so does the session.
    assert logged_in(alice).get("/api/auth/me").status_code == 200
    expect(signed_in.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("wanted", ["short", "password123", PASSWORD])
def test_a_bad_new_password_is_said_before_it_is_sent(signed_in: Page, alice: Customer, wanted: str) -> None:
    sent: list[str] = []
    signed_in.on("request", lambda request: sent.append(request.method))
    signed_in.goto("/settings")
    change_password(signed_in, PASSWORD, wanted)
    expect(signed_in.get_by_label("New password", exact=True)).to_have_accessible_description(re.compile(r"\w"))
    assert "POST" not in sent


def test_a_session_is_ended_elsewhere(signed_in: Page, alice: Customer, logged_in: LogIn) -> None:
    elsewhere, program = logged_in(alice), logged_in(alice, agent="curl/8.5.0")
    signed_in.goto("/settings")
    sessions = signed_in.get_by_role("list", name="Sessions").get_by_role("listitem")
    expect(sessions).to_have_count(3)
    expect(sessions.filter(has_text="This session")).to_contain_text("python-httpx")
    expect(sessions.filter(has_text="This session").get_by_role("button")).to_have_count(0)
    signed_in.get_by_role("button", name="End the session of Safari on iPhone").click()
    signed_in.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(signed_in.get_by_role("dialog")).to_have_count(0)
    assert elsewhere.get("/api/auth/me").status_code == 200
    signed_in.get_by_role("button", name="End the session of Safari on iPhone").click()
    signed_in.get_by_role("dialog").get_by_role("button", name="End session").click()
    expect(signed_in.get_by_text("The session of Safari on iPhone is ended.")).to_be_visible()
    expect(sessions).to_have_count(2)
    assert [someone.get("/api/auth/me").status_code for someone in (elsewhere, program)] == [401, 200]


def test_all_other_sessions_are_ended_after_a_question(signed_in: Page, alice: Customer, logged_in: LogIn) -> None:
    others = [logged_in(alice), logged_in(alice, agent="curl/8.5.0")]
    signed_in.goto("/settings")
    signed_in.get_by_role("button", name="End all others").click()
    signed_in.get_by_role("dialog").get_by_role("button", name="End all others").click()
    expect(signed_in.get_by_role("list", name="Sessions").get_by_role("listitem")).to_have_count(1)
    expect(signed_in.get_by_role("button", name="End all others")).to_have_count(0)
    assert [someone.get("/api/auth/me").status_code for someone in (*others, alice.http)] == [401, 401, 200]


def test_the_colours_are_chosen(dark: Page, alice: Customer) -> None:
    sign_in(dark, alice).goto("/settings")
    html = dark.locator("html")
    expect(html).to_have_attribute("data-mantine-color-scheme", "dark")
    dark.get_by_text("Light", exact=True).click()
    expect(html).to_have_attribute("data-mantine-color-scheme", "light")
    dark.reload()
    expect(dark.get_by_role("radio", name="Light")).to_be_checked()
    expect(html).to_have_attribute("data-mantine-color-scheme", "light")
    dark.get_by_text("As the system").click()
    expect(html).to_have_attribute("data-mantine-color-scheme", "dark")


def test_the_settings_need_no_mouse(signed_in: Page, alice: Customer, logged_in: LogIn) -> None:
    logged_in(alice)
    signed_in.goto("/settings")
    end = signed_in.get_by_role("button", name="End the session of Safari on iPhone")
    end.wait_for()
    tab_to(signed_in, signed_in.get_by_label("Current password", exact=True))
    signed_in.keyboard.type(PASSWORD)
    signed_in.keyboard.press("Tab")
    expect(signed_in.get_by_label("New password", exact=True)).to_be_focused()
    tab_to(signed_in, end)
    signed_in.keyboard.press("Enter")
    dialog = signed_in.get_by_role("dialog")
    dialog.wait_for()
    signed_in.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(end).to_be_focused()
    tab_to(signed_in, signed_in.get_by_role("radio", name="As the system"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_settings_keep_nobody_out(open_page: OpenPage, alice: Customer, logged_in: LogIn, scheme: Scheme) -> None:
    logged_in(alice)
    page = sign_in(open_page(scheme=scheme), alice)
    page.goto("/settings")
    page.get_by_text("Safari on iPhone").wait_for()
    assert_accessible(page)
    change_password(page, "", "")
    page.get_by_text("Give the password that you have now.").wait_for()
    assert_accessible(page)
    page.get_by_role("button", name="End all others").click()
    page.get_by_role("dialog").wait_for()
    assert_accessible(page)


@pytest.mark.parametrize("width", [360, 390])
def test_the_settings_fit_a_phone(open_page: OpenPage, alice: Customer, logged_in: LogIn, width: int) -> None:
    logged_in(alice, agent="x" * 200)
    phone = sign_in(open_page(width=width, height=844, touch=True), alice)
    phone.goto("/settings")
    phone.get_by_role("button", name="End all others").wait_for()
    assert_fits(phone)
