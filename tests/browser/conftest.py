"""A real Chromium in front of a whole stack that serves the dashboard of this tree."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from deploy import dashboard
from tests.browser import chromium
from tests.browser.looks import OpenPage, Scheme
from tests.browser.people import sign_in
from tests.browser.troubles import Troubles
from tests.support.customers import Customer, customer
from tests.support.processes import fake_upstream
from tests.support.stack import RunningStack, running_stack

# The machine may be busy; a test that is going to pass does not wait for it.
PATIENCE_MS = 60_000
# The first test of a run waits for the build of the dashboard and the start of the stack.
WITHIN_S = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all tests here more time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(WITHIN_S), append=False)


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """Address of an upstream that makes as many tokens as it may, at once; `POST /mood` changes that."""
    with fake_upstream() as url:
        yield url


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[RunningStack]:
    """The stack of `make up` on that upstream, with the dashboard as the sources have it now."""
    with dashboard.only_one(dashboard.DASHBOARD):
        dashboard.build(dashboard.DASHBOARD)
    home = tmp_path_factory.mktemp("browser") / "home"
    with running_stack(home, UPSTREAM_KIND="openai", UPSTREAM_BASE_URL=upstream, SIGNUPS_PER_HOUR="1000000") as running:
        yield running


@pytest.fixture(scope="session")
def _started() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """Chromium, and the event loop that Playwright leaves in force between two calls, where no other could run."""
    expect.set_options(timeout=PATIENCE_MS)
    with chromium.started() as browser:
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)


@pytest.fixture
def browser(_started: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """Chromium without a window, the same one for all tests."""
    browser, loop = _started
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)


@pytest.fixture
def troubles() -> Iterator[Troubles]:
    """What went wrong in the test's pages; a test says here what it expects: `troubles.expect("401 POST /api/...")`."""
    collected = Troubles()
    yield collected
    collected.check()


@pytest.fixture
def open_page(browser: Browser, stack: RunningStack, troubles: Troubles) -> Iterator[OpenPage]:
    """Opens pages of nobody that share nothing with each other: `open_page(width=360, touch=True)`."""
    contexts: list[BrowserContext] = []

    def opened(*, width: int = 1280, height: int = 800, scheme: Scheme = "light", touch: bool = False) -> Page:
        context = browser.new_context(
            base_url=stack.places.dashboard_url,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=touch,
            is_mobile=touch,
            locale="en-GB",
            # Nothing moves, so nothing has to be waited for.
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        troubles.watch(page)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """A page on a desktop, in light colours, of nobody: `page.goto("/login")`."""
    return open_page()


@pytest.fixture
def dark(open_page: OpenPage) -> Page:
    """The same for somebody whose system is dark."""
    return open_page(scheme="dark")


@pytest.fixture
def phone(open_page: OpenPage) -> Page:
    """The same on a phone."""
    return open_page(width=390, height=844, touch=True)


@pytest.fixture
def alice(stack: RunningStack) -> Iterator[Customer]:
    """Somebody who has just signed up; `sign_in(phone, alice)` puts her in front of another page."""
    with customer(stack) as someone:
        yield someone


@pytest.fixture
def signed_in(page: Page, alice: Customer) -> Page:
    """The page on the desktop with Alice's session; for what is hers, ask for `alice` as well."""
    return sign_in(page, alice)


@pytest.fixture(scope="session")
def _first_admin(stack: RunningStack) -> Iterator[Customer]:
    """Who makes others admins, which is faster than the command line."""
    with customer(stack) as someone:
        done = stack.command("admin", "create-admin", "--email", someone.email, "--existing")
        assert done.returncode == 0, done.stderr
        yield someone


@pytest.fixture
def operator(stack: RunningStack, _first_admin: Customer) -> Iterator[Customer]:
    """Somebody with the role admin, who has just signed up."""
    with customer(stack) as someone:
        path = f"/api/admin/users/{someone.account_id}"
        assert _first_admin.http.patch(path, json={"role": "admin"}).status_code == 200
        yield someone


@pytest.fixture
def admin_page(page: Page, operator: Customer) -> Page:
    """The page on the desktop with the session of an admin, who is `operator`."""
    return sign_in(page, operator)
