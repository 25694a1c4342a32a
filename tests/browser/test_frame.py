"""What holds for all pages: the content security policy, and that nothing goes wrong unseen."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looks import OpenPage, Scheme, assert_accessible, assert_fits
from tests.browser.people import charged, chat, sign_in
from tests.browser.troubles import Troubles
from tests.support.customers import Customer

INJECT = """() => {
    const inline = document.createElement("script");
    inline.textContent = "globalThis.injected = true";
    document.body.append(inline);
    const remote = document.createElement("script");
    remote.src = "https://example.com/remote.js";
    document.body.append(remote);
    document.body.insertAdjacentHTML("beforeend", "<img src='data:,' onerror='globalThis.injected = true'>");
}"""


SCRIPTS = """() => performance.getEntriesByType("resource")
    .filter((entry) => new URL(entry.name).pathname.endsWith(".js"))
    .map((entry) => entry.encodedBodySize)"""


def test_a_first_visit_loads_few_and_small_scripts(page: Page) -> None:
    page.goto("/signup", wait_until="networkidle")
    page.get_by_role("button", name="Sign up", exact=True).wait_for()
    sizes = page.evaluate(SCRIPTS)
    assert 0 < len(sizes) <= 8, sizes
    assert all(sizes)
    assert sum(sizes) < 250_000, sizes


def test_a_script_that_got_into_the_page_does_not_run(page: Page, troubles: Troubles) -> None:
    answer = page.goto("/login")
    assert answer
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    troubles.expect("Content Security Policy")
    troubles.expect("csp GET /remote.js")
    with page.expect_console_message(lambda message: "event handler" in message.text):
        page.evaluate(INJECT)
    assert page.evaluate("() => globalThis.injected") is None
    refused = [trouble for trouble in troubles.seen if "Content Security Policy" in trouble]
    assert len(refused) == 3, refused


def test_what_goes_wrong_in_a_page_is_noticed(page: Page, troubles: Troubles) -> None:
    troubles.expect("401 GET /api/keys")
    mine = Troubles()
    mine.watch(page)
    page.goto("/login")
    mine.check()
    page.evaluate("() => fetch('/api/keys')")
    with pytest.raises(AssertionError, match=r"went wrong in the page:\n401 GET /api/keys$"):
        mine.check()
    mine.expect("401 GET /api/keys")
    mine.check()
    mine.expect("500")
    with pytest.raises(AssertionError, match="expected in vain"):
        mine.check()


def test_an_address_without_a_page_says_so(signed_in: Page, troubles: Troubles) -> None:
    troubles.expect("404 GET /nothing")
    signed_in.goto("/nothing")
    expect(signed_in.get_by_role("heading", level=1, name="There is no such page")).to_be_visible()
    assert_accessible(signed_in)
    signed_in.get_by_role("link", name="Go to the dashboard").click()
    signed_in.wait_for_url("/dashboard")


def test_the_menu_leads_to_every_page(admin_page: Page) -> None:
    admin_page.goto("/dashboard")
    menu = admin_page.get_by_role("navigation", name="Pages")
    menu.get_by_role("link", name="Audit log").wait_for()
    links = menu.get_by_role("link").all()
    assert len(links) == 15
    for link in links:
        link.click()
        expect(link).to_have_attribute("aria-current", "page")
        expect(admin_page.get_by_role("heading", level=1)).to_be_visible()
        expect(menu.locator("[aria-current=page]")).to_have_count(1)


def test_the_menu_of_a_phone_opens_and_closes(phone: Page, alice: Customer) -> None:
    sign_in(phone, alice).goto("/dashboard")
    menu = phone.get_by_role("navigation", name="Pages")
    expect(menu).not_to_be_in_viewport()
    phone.get_by_role("button", name="Menu").tap()
    expect(menu).to_be_in_viewport()
    assert_fits(phone)
    menu.get_by_role("link", name="API keys").tap()
    phone.wait_for_url("/keys")
    expect(menu).not_to_be_in_viewport()


def test_the_chosen_colours_stay(signed_in: Page) -> None:
    signed_in.goto("/dashboard")
    html = signed_in.locator("html")
    expect(html).to_have_attribute("data-mantine-color-scheme", "light")
    signed_in.get_by_role("button", name="Switch to dark colours").click()
    expect(html).to_have_attribute("data-mantine-color-scheme", "dark")
    signed_in.reload()
    expect(html).to_have_attribute("data-mantine-color-scheme", "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_frame_keeps_nobody_out(open_page: OpenPage, operator: Customer, scheme: Scheme) -> None:
    page = sign_in(open_page(scheme=scheme), operator)
    page.goto("/dashboard")
    page.get_by_title("Balance: $1.00").wait_for()
    assert_accessible(page)
    page.get_by_label(f"Account of {operator.email}").click()
    page.get_by_role("menuitem", name="Log out").wait_for()
    # Mantine keeps an empty element in its menus, which can be focused.
    assert_accessible(page, unchecked=("aria-required-children",))


def test_a_call_shows_in_the_balance_by_itself(signed_in: Page, alice: Customer) -> None:
    signed_in.goto("/settings")
    signed_in.get_by_title("Balance: $1.00").wait_for()
    charged(alice, chat(alice, max_tokens=50_000))
    expect(signed_in.get_by_title("Balance: $1.00")).to_have_count(0)
    signed_in.get_by_title("Balance: $0.9").wait_for()


def test_what_makes_no_sense_in_an_address_is_left_out(signed_in: Page) -> None:
    signed_in.goto("/usage?status=error&view=sideways&offset=-5&utm_source=elsewhere")
    signed_in.wait_for_url("/usage?status=error")
    expect(signed_in.get_by_role("heading", level=1, name="Usage")).to_be_visible()
