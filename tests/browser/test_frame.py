"""What holds for all pages: the content security policy, and that nothing goes wrong unseen."""

import pytest
from playwright.sync_api import Page

from tests.browser.troubles import Troubles

INJECT = """() => {
    const inline = document.createElement("script");
    inline.textContent = "globalThis.injected = true";
    document.body.append(inline);
    const remote = document.createElement("script");
    remote.src = "https://example.com/remote.js";
    document.body.append(remote);
    document.body.insertAdjacentHTML("beforeend", "<img src='data:,' onerror='globalThis.injected = true'>");
}"""


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
