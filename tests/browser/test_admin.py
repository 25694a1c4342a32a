"""What operators do at the browser: find users and help them, models and prices, plans, upstreams, the books."""

import re
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.looks import OpenPage, assert_accessible, assert_fits
from tests.browser.people import charged, chat, sign_in
from tests.browser.troubles import Troubles
from tests.support.customers import Customer

PAGES = {
    "/admin": "Overview",
    "/admin/users": "Users",
    "/admin/models": "Models and prices",
    "/admin/plans": "Plans",
    "/admin/upstreams": "Upstreams",
    "/admin/ledger": "Ledger",
    "/admin/audit": "Audit log",
}


def card(page: Page, label: str) -> Locator:
    """The figure with this name."""
    return page.locator(".mantine-Card-root", has=page.get_by_text(label, exact=True)).first


def row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)


def find(page: Page, someone: Customer) -> None:
    """From the list of users to somebody's page."""
    page.goto("/admin/users")
    page.get_by_role("searchbox", name="Search users").fill(someone.email.upper())
    expect(page.get_by_text("1 user", exact=True)).to_be_visible()
    page.get_by_role("link", name=someone.email).click()
    expect(page.get_by_role("heading", level=1, name=someone.email)).to_be_visible()


def act(page: Page, item: str) -> Locator:
    """The dialog of one of the acts in the menu."""
    page.get_by_role("button", name="Change", exact=True).click()
    page.get_by_role("menuitem", name=item).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog


def test_an_operator_finds_a_user_whose_credit_is_seen_at_once_by_both(
    admin_page: Page, open_page: OpenPage, alice: Customer
) -> None:
    hers = sign_in(open_page(), alice)
    hers.goto("/billing")
    expect(hers.get_by_title("Balance: $1.00")).to_be_visible()
    find(admin_page, alice)
    assert "search=" not in admin_page.url
    expect(card(admin_page, "Balance")).to_contain_text("$1.00")

    admin_page.get_by_role("button", name="Adjust credit").click()
    dialog = admin_page.get_by_role("dialog")
    dialog.get_by_label("Amount").fill("5.25")
    dialog.get_by_role("button", name="Add credit").click()
    expect(dialog.get_by_label("Reason")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Reason").fill("goodwill")
    expect(dialog.get_by_text("Balance: $1.00, after it $6.25")).to_be_visible()
    with admin_page.expect_request("**/credits") as sent:
        admin_page.keyboard.press("Enter")
    assert sent.value.headers["idempotency-key"]
    expect(dialog).to_be_hidden()
    expect(card(admin_page, "Balance")).to_contain_text("$6.25")

    expect(hers.get_by_title("Balance: $6.25")).to_be_visible()
    hers.reload()
    expect(row(hers, "goodwill")).to_contain_text("$5.25")
    admin_page.get_by_role("tab", name="Ledger").click()
    expect(row(admin_page, "goodwill")).to_contain_text("$5.25")


def test_credit_that_got_no_answer_is_booked_once_when_it_is_sent_again(
    admin_page: Page, alice: Customer, troubles: Troubles
) -> None:
    troubles.expect("net::ERR_FAILED POST /api/admin/users/")
    keys: list[str] = []

    def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    admin_page.route("**/credits", lose_the_first_answer)
    admin_page.goto(f"/admin/users/{alice.account_id}")
    admin_page.get_by_role("button", name="Adjust credit").click()
    dialog = admin_page.get_by_role("dialog")
    dialog.get_by_label("Amount").fill("2")
    dialog.get_by_label("Reason").fill("refund")
    dialog.get_by_role("button", name="Add credit").click()
    expect(admin_page.get_by_text("PrivateRouter does not answer", exact=False).first).to_be_visible()
    dialog.get_by_role("button", name="Add credit").click()
    expect(dialog).to_be_hidden()
    expect(card(admin_page, "Balance")).to_contain_text("$3.00")
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_a_disabled_user_is_out_until_enabled_again(admin_page: Page, alice: Customer) -> None:
    find(admin_page, alice)
    dialog = act(admin_page, "Disable…")
    expect(dialog).to_contain_text("All sessions end")
    dialog.get_by_label("Reason").fill("abuse")
    dialog.get_by_role("button", name="Disable user").click()
    expect(card(admin_page, "Status")).to_contain_text("Disabled")
    assert alice.http.get("/api/auth/me").status_code == 401

    dialog = act(admin_page, "Enable…")
    dialog.get_by_role("button", name="Enable user").click()
    expect(card(admin_page, "Status")).to_contain_text("Active")


def test_an_operator_cannot_lock_out_themselves(admin_page: Page, operator: Customer) -> None:
    admin_page.goto(f"/admin/users/{operator.account_id}")
    admin_page.get_by_role("button", name="Change", exact=True).click()
    expect(admin_page.get_by_role("menuitem", name="Disable…")).to_be_disabled()
    expect(admin_page.get_by_role("menuitem", name="Take the administration away…")).to_be_disabled()


def test_a_new_model_is_used_on_a_new_plan_and_gets_a_new_price(
    admin_page: Page, operator: Customer, alice: Customer
) -> None:
    name = f"test/{uuid4().hex[:8]}"
    admin_page.goto("/admin/models")
    admin_page.get_by_role("button", name="Add model").click()
    dialog = admin_page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill(name)
    dialog.get_by_label("Model there").fill("m")
    dialog.get_by_label("Context").fill("4096")
    dialog.get_by_label("Input", exact=True).fill("1")
    dialog.get_by_role("button", name="Add model").click()
    expect(dialog.get_by_label("Output", exact=True)).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Output", exact=True).fill("2")
    dialog.get_by_role("button", name="Add model").click()
    expect(row(admin_page, name)).to_contain_text("Visible")

    find(admin_page, alice)
    dialog = act(admin_page, "Change plan…")
    dialog.get_by_label("Plan", exact=True).click()
    admin_page.get_by_role("option", name="Developer").click()
    expect(dialog).to_contain_text("all models")
    dialog.get_by_role("button", name="Change plan").click()
    expect(card(admin_page, "Plan")).to_contain_text("developer")
    charged(alice, chat(alice, model=name))
    admin_page.get_by_role("tab", name="Usage").click()
    expect(row(admin_page, name)).to_contain_text("Success")

    admin_page.goto("/admin/models")
    admin_page.get_by_label(f"Prices of {name}").click()
    dialog = admin_page.get_by_role("dialog")
    dialog.get_by_label("Input", exact=True).fill("10")
    dialog.get_by_label("Output", exact=True).fill("20")
    preview = dialog.get_by_role("button", name="Preview")
    # The roll-ups that it is made from follow the calls.
    for _ in range(20):
        preview.click()
        told = dialog.get_by_text("This month so far")
        expect(told).to_be_visible()
        if "would have cost about" in told.inner_text():
            break
        dialog.get_by_role("button", name="Back").click()
        admin_page.wait_for_timeout(500)
    expect(told).to_have_text(re.compile(r"would have cost about \$0\.00\d+ instead of \$0\.000\d+ \(1 request\)"))
    expect(dialog.get_by_text("Last month: it was not used.")).to_be_visible()
    dialog.get_by_label("Reason").fill("electricity")
    dialog.get_by_role("button", name="Set this price").click()
    expect(dialog).to_be_hidden()
    expect(row(admin_page, name)).to_contain_text("$10.00")
    admin_page.get_by_label(f"Prices of {name}").click()
    versions = admin_page.get_by_role("dialog").get_by_role("row")
    expect(versions).to_have_count(3)
    expect(versions.nth(1)).to_contain_text("Current")
    admin_page.keyboard.press("Escape")

    admin_page.get_by_label(f"Edit {name}").click()
    dialog = admin_page.get_by_role("dialog")
    dialog.get_by_role("switch", name="Visible").press("Space")
    dialog.get_by_role("button", name="Save").click()
    expect(row(admin_page, name)).to_contain_text("Hidden")

    audit = admin_page
    audit.goto("/admin/audit")
    audit.get_by_role("searchbox", name="Who did it").fill(operator.email)
    for action in ("Model added", "Plan of an account changed", "Price changed", "Model changed"):
        expect(row(audit, action)).to_have_count(1)
    expect(row(audit, "Price changed")).to_contain_text("electricity")
    row(audit, "Price changed").get_by_role("button").click()
    details = audit.get_by_role("dialog")
    expect(row(audit, "Input, per million tokens").last).to_contain_text("$10.00")
    details.get_by_role("button").first.click()
    audit.get_by_role("combobox", name="Action").click()
    audit.get_by_role("option", name="Model added").click()
    expect(row(audit, "Price changed")).to_have_count(0)
    assert "action=model.created" in audit.url
    audit.reload()
    expect(row(audit, name)).to_have_count(1)


def test_a_change_of_a_plan_holds_for_its_accounts(admin_page: Page, alice: Customer) -> None:
    admin_page.goto("/admin/plans")
    before = alice.http.get("/api/plans").json()["items"]
    most = next(plan["rpm"] for plan in before if plan["id"] == "starter")
    for rpm in (most + 1, most):
        admin_page.get_by_label("Edit Starter").click()
        dialog = admin_page.get_by_role("dialog")
        dialog.get_by_label("Requests a minute").fill(f"{rpm}")
        with admin_page.expect_response("**/api/admin/plans/starter") as answer:
            dialog.get_by_role("button", name="Save").click()
        assert answer.value.request.post_data_json == {"rpm": rpm, "reason": ""}
        expect(dialog).to_be_hidden()
        expect(row(admin_page, "Starter")).to_contain_text(f"{rpm}")
    assert alice.http.get("/api/plans").json()["items"] == before


def test_upstreams_tell_how_they_do_and_never_their_credential(admin_page: Page) -> None:
    name = f"spare-{uuid4().hex[:8]}"
    admin_page.goto("/admin/upstreams")
    expect(row(admin_page, "default")).to_contain_text("Healthy")
    admin_page.get_by_role("button", name="Add upstream").click()
    dialog = admin_page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill(name)
    dialog.get_by_label("Address").fill("localhost")
    dialog.get_by_role("button", name="Add upstream").click()
    expect(dialog.get_by_label("Address")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Address").fill("http://localhost:9")
    dialog.get_by_label("Credential").fill("a-very-secret-credential")
    dialog.get_by_role("button", name="Add upstream").click()
    expect(dialog).to_be_hidden()
    expect(row(admin_page, name)).to_be_visible()

    admin_page.get_by_label(f"Edit {name}").click()
    credential = admin_page.get_by_role("dialog").get_by_label("Credential", exact=True)
    expect(credential).to_have_value("")
    expect(credential).to_have_attribute("placeholder", "Stored; empty: it stays")
    assert "a-very-secret-credential" not in admin_page.content()


def test_the_books_come_to_zero_and_are_found_by_user(admin_page: Page, alice: Customer) -> None:
    charged(alice, chat(alice))
    admin_page.goto("/admin/ledger")
    expect(admin_page.get_by_text("Together they come to $0.00, as they must.")).to_be_visible()
    admin_page.get_by_role("searchbox", name="User of the lines").fill(alice.email)
    lines = admin_page.get_by_role("table", name="Ledger lines").get_by_role("row")
    expect(lines).to_have_count(3)
    expect(lines.nth(1)).to_contain_text(alice.email)
    admin_page.get_by_role("searchbox", name="User of the lines").fill("nobody@example.com")
    expect(admin_page.get_by_text("No user has exactly this e-mail.")).to_be_visible()


@pytest.mark.parametrize("path", [*PAGES, "/admin/users/anybody"])
def test_who_is_no_admin_gets_to_the_dashboard(signed_in: Page, path: str) -> None:
    signed_in.goto(path)
    signed_in.wait_for_url("**/dashboard")
    expect(signed_in.get_by_text("Administration")).to_have_count(0)


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_the_administration_is_usable_by_everybody(
    open_page: OpenPage, operator: Customer, alice: Customer, look: str
) -> None:
    charged(alice, chat(alice))
    phone = look == "phone"
    page = open_page(
        width=390 if phone else 1280, height=844, scheme="dark" if look == "dark" else "light", touch=phone
    )
    sign_in(page, operator)
    for path, title in {**PAGES, f"/admin/users/{alice.account_id}": alice.email}.items():
        page.goto(path)
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
        expect(page.locator(".mantine-Skeleton-root")).to_have_count(0)
        assert_accessible(page)
        assert_fits(page)


@pytest.mark.parametrize(
    "path, button",
    [
        ("/admin/models", "Add model"),
        ("/admin/models", "Prices of privaterouter/fast"),
        ("/admin/plans", "Edit Free"),
        ("/admin/upstreams", "Add upstream"),
    ],
)
def test_dialogs_are_usable_by_keyboard_alone(admin_page: Page, path: str, button: str) -> None:
    admin_page.goto(path)
    opener = admin_page.get_by_role("button", name=button)
    opener.focus()
    admin_page.keyboard.press("Enter")
    dialog = admin_page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert_accessible(admin_page)
    for _ in range(3):
        admin_page.keyboard.press("Tab")
        expect(dialog.locator("*:focus")).to_have_count(1)
    admin_page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
