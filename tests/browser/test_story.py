"""From the sign-up to an explained charge, in a browser in front of the stack of `make up` with its own model."""

import re
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.troubles import Troubles
from tests.support.customers import PASSWORD
from tests.support.stack import RunningStack, running_stack

COST = re.compile(r"^\$0\.0*[1-9]\d*$")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """In the place of the one with a scripted upstream: nothing here is made up."""
    with running_stack(tmp_path_factory.mktemp("story") / "home") as running:
        yield running


def test_somebody_signs_up_calls_a_model_and_sees_what_it_cost(page: Page, troubles: Troubles) -> None:
    # What a call cost is asked for until it is known.
    troubles.allow("404 GET /api/usage/")
    page.goto("/")
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("E-mail").fill(f"grace-{uuid4().hex[:12]}@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign up", exact=True).click()
    page.wait_for_url("/dashboard")
    expect(page.get_by_title("Balance: $1.00")).to_be_visible()

    page.get_by_role("navigation", name="Pages").get_by_role("link", name="API keys").click()
    page.get_by_role("button", name="Create new key").click()
    form = page.get_by_role("dialog", name="Create an API key")
    form.get_by_label("Name").fill("laptop")
    form.get_by_role("button", name="Create key").click()
    snippet = page.get_by_role("region", name="First call in curl").inner_text()
    page.get_by_role("button", name="I have saved it").click()

    done = subprocess.run(["bash", "-c", snippet], capture_output=True, text=True, check=True, timeout=60)
    assert '"finish_reason"' in done.stdout

    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Playground").click()
    page.get_by_label("Max tokens").fill("12")
    message = page.get_by_role("textbox", name="Message", exact=True)
    message.fill("Say hi in five words.")
    message.press("Enter")
    expect(page.get_by_role("article")).to_have_count(1)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0, timeout=60_000)

    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Usage").click()
    calls = page.get_by_role("table", name="Calls").locator("tbody tr:not([aria-hidden])")
    expect(calls).to_have_count(2)
    cost = calls.first.get_by_text(COST)
    expect(cost).to_be_visible()
    charged = cost.inner_text()
    calls.first.get_by_role("link").click()
    explained = page.get_by_role("dialog", name="Call")
    expect(explained.get_by_role("table", name="Cost")).to_contain_text(charged)
    expect(explained.get_by_role("table", name="Ledger transactions")).to_contain_text(f"-{charged}")
