"""A server that stops and comes back while somebody looks at a page."""

import asyncio
from collections.abc import Coroutine, Iterator
from threading import Thread
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looks import assert_accessible
from tests.browser.troubles import Troubles
from tests.faults.links import Link
from tests.support.customers import Customer
from tests.support.stack import RunningStack


class Road:
    """A way to the dashboard that can be closed, with a loop of its own in a thread."""

    def __init__(self, dashboard_url: str) -> None:
        place = urlsplit(dashboard_url)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self._link = Link("browser", "127.0.0.1:0", lambda: f"127.0.0.1:{place.port}")
        self._run(self._link.start())
        self.url = f"http://{place.hostname}:{self._link.address.rpartition(':')[2]}"

    def shut(self) -> None:
        """Reset what is open, and refuse what comes."""
        self._link.refusing = True
        self._loop.call_soon_threadsafe(self._link.reset)

    def open(self) -> None:
        """Let it pass again."""
        self._link.refusing = False

    def close(self) -> None:
        """End it for good."""
        self._run(self._link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@pytest.fixture
def road(stack: RunningStack) -> Iterator[Road]:
    """What stands between the browser and the dashboard."""
    made = Road(stack.places.dashboard_url)
    yield made
    made.close()


def test_a_server_that_stops_is_said_and_nothing_is_lost(signed_in: Page, troubles: Troubles, road: Road) -> None:
    troubles.expect("net::ERR_")
    signed_in.goto(f"{road.url}/keys")
    signed_in.get_by_role("button", name="Create new key").click()
    dialog = signed_in.get_by_role("dialog", name="Create an API key")
    dialog.get_by_label("Name").fill("production")
    road.shut()
    dialog.get_by_role("button", name="Create key").click()
    banner = signed_in.get_by_text("PrivateRouter does not answer", exact=True)
    expect(banner).to_be_visible()
    expect(dialog.get_by_label("Name")).to_have_value("production")
    # What is there stays there.
    expect(signed_in.get_by_text("a test", exact=True)).to_be_visible()
    assert_accessible(signed_in)
    road.open()
    expect(banner).to_have_count(0)
    dialog.get_by_role("button", name="Create key").click()
    expect(signed_in.get_by_role("dialog", name="Your new key")).to_be_visible()


def test_the_log_in_says_it_too(page: Page, alice: Customer, troubles: Troubles, road: Road) -> None:
    troubles.expect("net::ERR_")
    page.goto(f"{road.url}/login")
    button = page.get_by_role("button", name="Log in")
    button.wait_for()
    page.get_by_label("E-mail").fill(alice.email)
    page.get_by_label("Password", exact=True).fill("anything")
    road.shut()
    button.click()
    expect(page.get_by_role("alert").filter(has_text="does not answer").first).to_be_visible()
    road.open()
    expect(page.get_by_text("Nothing is lost")).to_have_count(0)
