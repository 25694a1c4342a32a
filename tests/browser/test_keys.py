"""API keys at a browser: made, seen once, changed, stopped and deleted."""

import os
import re
import subprocess
import sys

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.keyboard import tab_to
from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.people import MODEL, charged, sign_in
from tests.browser.troubles import Troubles
from tests.support.customers import PASSWORD, Customer
from tests.support.stack import until


def form(page: Page) -> Locator:
    """The form of a new key, opened."""
    page.get_by_role("button", name="Create new key", exact=True).click()
    dialog = page.get_by_role("dialog", name="Create an API key")
    dialog.wait_for()
    return dialog


def create(page: Page, name: str) -> str:
    """Make a key on the open page, without limits; its secret. The dialog that shows it stays open."""
    dialog = form(page)
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_role("button", name="Create key").click()
    return page.get_by_role("dialog", name="Your new key").get_by_label(name, exact=True).input_value()


def act(page: Page, name: str, action: str) -> None:
    """Choose from the menu of a key."""
    page.get_by_role("button", name=f"Actions for {name}", exact=True).click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))


def status_of(someone: Customer, secret: str) -> int:
    """What a call with the key comes to."""
    body = {"model": MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {secret}"}
    return httpx.post(f"{someone.v1}/chat/completions", json=body, headers=headers, timeout=30).status_code


def run(*command: str) -> str:
    """What a program prints that ends well."""
    done = subprocess.run(
        command, env={**os.environ, "NO_PROXY": "*"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_key_is_made_with_its_limits(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/keys")
    dialog = form(signed_in)
    dialog.get_by_label("Name").fill("production")
    dialog.get_by_label("Monthly limit").fill("2.50")
    dialog.get_by_role("button", name="More limits").click()
    dialog.get_by_label("Requests a minute").fill("7")
    dialog.get_by_label("Tokens a minute").fill("9000")
    dialog.get_by_label("Calls at the same time").fill("2")
    dialog.get_by_label("Models").click()
    signed_in.get_by_role("option", name=MODEL, exact=True).click()
    dialog.get_by_role("button", name="Create key").click()
    signed_in.get_by_role("button", name="I have saved it").click()
    made = next(key for key in alice.all_of("/api/keys") if key["name"] == "production")
    facts = ("monthly_limit_usd", "rpm_limit", "tpm_limit", "max_in_flight", "allowed_models", "expires_at")
    assert [made[fact] for fact in facts] == ["2.50", 7, 9000, 2, [MODEL], None]
    expect(row(signed_in, "production")).to_contain_text("$0.00 of $2.50")
    expect(row(signed_in, "production")).to_contain_text("1 chosen")


def test_the_secret_is_shown_once(signed_in: Page) -> None:
    signed_in.goto("/keys")
    secret = create(signed_in, "laptop")
    assert secret.startswith("sk-pr-live-")
    # A slip of the hand does not lose it.
    signed_in.keyboard.press("Escape")
    signed_in.mouse.click(5, 400)
    expect(signed_in.get_by_role("dialog", name="Your new key")).to_be_visible()
    signed_in.get_by_role("button", name="I have saved it").click()
    expect(signed_in.get_by_role("dialog")).to_have_count(0)
    expect(row(signed_in, "laptop")).to_be_visible()
    assert secret not in signed_in.content()
    signed_in.reload()
    expect(row(signed_in, "laptop")).to_be_visible()
    assert secret not in signed_in.content()
    assert secret not in signed_in.evaluate("() => JSON.stringify([localStorage, sessionStorage])")


def test_the_ready_made_calls_carry_the_secret_and_work(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/keys")
    secret = create(signed_in, "laptop")
    dialog = signed_in.get_by_role("dialog", name="Your new key")
    curl = dialog.get_by_role("region", name="First call in curl").inner_text()
    dialog.get_by_role("tab", name="Python").click()
    python = dialog.get_by_role("region", name="First call in Python").inner_text()
    dialog.get_by_role("tab", name="Node.js").click()
    assert f'apiKey: "{secret}"' in dialog.get_by_role("region", name="First call in Node.js").inner_text()
    assert secret in curl
    assert secret in python

    assert '"finish_reason"' in run("bash", "-c", curl)
    assert run(sys.executable, "-c", python).strip()
    calls = alice.all_of("/api/usage")
    until(lambda: len(alice.all_of("/api/usage")) == 2, what=lambda: f"two calls, not {calls}")
    charged(alice, *(call["id"] for call in alice.all_of("/api/usage")))
    # And the list tells by itself what the key has spent.
    signed_in.get_by_role("button", name="I have saved it").click()
    signed_in.reload()
    expect(row(signed_in, "laptop")).to_contain_text(re.compile(r"\$0\.0*[1-9]"))


def test_a_key_is_renamed(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/keys")
    act(signed_in, "a test", "Edit")
    dialog = signed_in.get_by_role("dialog", name="Edit key")
    expect(dialog.get_by_label("Name")).to_have_value("a test")
    dialog.get_by_label("Name").fill("<b>Büro</b>")
    dialog.get_by_label("Name").press("Enter")
    expect(dialog).to_have_count(0)
    # Names are text, whatever is in them.
    expect(row(signed_in, "<b>Büro</b>")).to_be_visible()
    assert [key["name"] for key in alice.all_of("/api/keys")] == ["<b>Büro</b>"]
    assert status_of(alice, alice.key) == 200


def test_a_disabled_key_is_refused_until_it_is_enabled(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/keys")
    act(signed_in, "a test", "Disable")
    expect(row(signed_in, "a test")).to_contain_text("Disabled")
    until(lambda: status_of(alice, alice.key) == 401)
    act(signed_in, "a test", "Enable")
    expect(row(signed_in, "a test")).to_contain_text("Active")
    until(lambda: status_of(alice, alice.key) == 200)


def test_a_key_is_deleted_only_after_a_question(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/keys")
    act(signed_in, "a test", "Delete")
    dialog = signed_in.get_by_role("dialog", name="Delete the key “a test”?")
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_have_count(0)
    assert status_of(alice, alice.key) == 200
    act(signed_in, "a test", "Delete")
    dialog.get_by_role("button", name="Delete key").click()
    expect(signed_in.get_by_text("The key “a test” is deleted.")).to_be_visible()
    expect(signed_in.get_by_text("No keys yet")).to_be_visible()
    until(lambda: status_of(alice, alice.key) == 401)


@pytest.mark.parametrize(
    "label, text, said",
    [
        ("Name", "", "Give it a name"),
        ("Monthly limit", "a lot", "Give an amount of dollars"),
        ("Monthly limit", "-1", "Give an amount of dollars"),
    ],
)
def test_what_cannot_be_right_is_said_at_its_field(
    signed_in: Page, alice: Customer, label: str, text: str, said: str
) -> None:
    signed_in.goto("/keys")
    dialog = form(signed_in)
    dialog.get_by_label("Name").fill("laptop")
    dialog.get_by_label(label).fill(text)
    dialog.get_by_role("button", name="Create key").click()
    expect(dialog.get_by_label(label)).to_have_accessible_description(re.compile(said))
    assert len(alice.all_of("/api/keys")) == 1


def test_a_form_outlives_the_session(signed_in: Page, alice: Customer, troubles: Troubles) -> None:
    troubles.expect("401 ")
    signed_in.goto("/keys")
    dialog = form(signed_in)
    dialog.get_by_label("Monthly limit").fill("5.00")
    dialog.get_by_label("Name").fill("production")
    assert alice.http.post("/api/auth/logout").status_code == 204
    # Sends the form, where the page has not noticed by itself.
    signed_in.keyboard.press("Enter")
    again = signed_in.get_by_role("dialog", name="Your session has ended")
    expect(again.get_by_label("Password", exact=True)).to_be_focused()
    assert_accessible(signed_in)
    signed_in.keyboard.press("Escape")
    signed_in.keyboard.type(PASSWORD)
    signed_in.keyboard.press("Enter")
    expect(again).to_have_count(0)
    expect(dialog.get_by_label("Name")).to_have_value("production")
    expect(dialog.get_by_label("Monthly limit")).to_have_value("5.00")
    dialog.get_by_role("button", name="Create key").click()
    expect(signed_in.get_by_role("dialog", name="Your new key")).to_be_visible()
    expect(signed_in.get_by_role("dialog").get_by_label("production", exact=True)).to_have_value(
        re.compile("^sk-pr-live-")
    )


def test_a_key_is_made_without_a_mouse(signed_in: Page) -> None:
    signed_in.goto("/keys")
    button = signed_in.get_by_role("button", name="Create new key", exact=True)
    button.wait_for()
    tab_to(signed_in, button)
    signed_in.keyboard.press("Enter")
    dialog = signed_in.get_by_role("dialog", name="Create an API key")
    expect(dialog.get_by_label("Name")).to_be_focused()
    signed_in.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()
    signed_in.keyboard.press("Enter")
    expect(dialog.get_by_label("Name")).to_be_focused()
    signed_in.keyboard.type("laptop")
    signed_in.keyboard.press("Enter")
    shown = signed_in.get_by_role("dialog", name="Your new key")
    shown.wait_for()
    tab_to(signed_in, shown.get_by_role("button", name="I have saved it"))
    signed_in.keyboard.press("Enter")
    expect(shown).to_have_count(0)
    menu = signed_in.get_by_role("button", name="Actions for laptop")
    menu.wait_for()
    tab_to(signed_in, menu)
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_role("menuitem", name="Edit")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_keys_keep_nobody_out(open_page: OpenPage, alice: Customer, scheme: Scheme) -> None:
    page = sign_in(open_page(scheme=scheme), alice)
    alice.new_key(monthly_limit_usd="1.00", allowed_models=[MODEL], status="disabled")
    page.goto("/keys")
    row(page, "a test").first.wait_for()
    assert_accessible(page)
    dialog = form(page)
    dialog.get_by_role("button", name="More limits").click()
    dialog.get_by_label("Expires").wait_for()
    dialog.get_by_role("button", name="Create key").click()
    page.locator("[aria-invalid=true]").first.wait_for()
    assert_accessible(page)
    dialog.get_by_role("button", name="Cancel").click()
    create(page, "laptop")
    assert_accessible(page)


@pytest.mark.parametrize("width", [360, 390])
def test_the_keys_fit_a_phone(open_page: OpenPage, alice: Customer, width: int) -> None:
    phone = sign_in(open_page(width=width, height=844, touch=True), alice)
    alice.new_key(name="a" * 100)
    phone.goto("/keys")
    row(phone, "a test").wait_for()
    assert_fits(phone)
    create(phone, "laptop")
    assert_fits(phone)
