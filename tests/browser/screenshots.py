"""Takes the pictures in docs/images: `python -m tests.browser.screenshots [NAME ...]`.

Each page in light and dark on a desktop, and some on a phone, of a stack that a company has used for some weeks.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from tests.browser import chromium, sample
from tests.browser.looks import Scheme
from tests.browser.people import sign_in
from tests.support.customers import Customer
from tests.support.stack import RunningStack, running_stack

IMAGES = Path(__file__).parents[2] / "docs" / "images"
ORIGIN = "http://localhost:3000"
"""What examples on the pages show as the address, whatever port is free."""
SETTLED = """() => document.fonts.status === "loaded"
    && !document.querySelector("[aria-busy=true], .mantine-Skeleton-root, .mantine-Loader-root")"""


@dataclass(frozen=True)
class Picture:
    """A page, and who sees it: nobody, a team or an operator."""

    name: str
    path: str
    who: str = "team"
    phone: bool = False
    ask: str = ""
    """A message to send on the page, which is shown with its answer."""


PICTURES = (
    Picture("signup", "/signup", "nobody"),
    Picture("login", "/login", "nobody"),
    Picture("dashboard", "/dashboard", phone=True),
    Picture("keys", "/keys", phone=True),
    Picture("usage", "/usage", phone=True),
    Picture("billing", "/billing", phone=True),
    Picture("models", "/models"),
    Picture("docs", "/docs"),
    Picture("settings", "/settings"),
    Picture("admin-overview", "/admin", "operator", phone=True),
    Picture("admin-users", "/admin/users", "operator"),
    Picture("admin-user", "/admin/users/{team}", "operator"),
    Picture("admin-models", "/admin/models", "operator"),
    Picture("admin-plans", "/admin/plans", "operator"),
    Picture("admin-upstreams", "/admin/upstreams", "operator"),
    Picture("admin-ledger", "/admin/ledger", "operator"),
    Picture("admin-audit", "/admin/audit", "operator"),
    # The last one, as its call would be the latest on the other pages.
    Picture("playground", "/playground", phone=True, ask="Write one sentence about the sea."),
)


def main(names: Sequence[str]) -> None:
    """Take all pictures, or those of these names."""
    wanted = [picture for picture in PICTURES if not names or picture.name in names]
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="privaterouter-screenshots-") as directory,
        running_stack(Path(directory) / "home") as stack,
        sample.company(stack) as (team, operator),
        chromium.started(_flag(stack)) as browser,
    ):
        people = {"team": team, "operator": operator}
        for picture in wanted:
            for scheme in ("light", "dark"):
                _take(browser, picture, people, scheme=scheme, phone=False)
                if picture.phone:
                    _take(browser, picture, people, scheme=scheme, phone=True)


def _take(browser: Browser, picture: Picture, people: dict[str, Customer], *, scheme: Scheme, phone: bool) -> None:
    context = browser.new_context(
        base_url=ORIGIN,
        viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 800},
        color_scheme=scheme,
        has_touch=phone,
        is_mobile=phone,
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page = context.new_page()
    if who := people.get(picture.who):
        sign_in(page, who, origin=ORIGIN)
    page.goto(picture.path.format(team=people["team"].account_id))
    if picture.ask:
        _ask(page, picture.ask)
    _settle(page)
    file = IMAGES / f"{picture.name}-{scheme}{'-phone' if phone else ''}.png"
    page.screenshot(path=file, animations="disabled", caret="hide")
    context.close()


def _flag(stack: RunningStack) -> str:
    """Let ORIGIN be the dashboard of the stack."""
    return f"--host-resolver-rules=MAP {urlsplit(ORIGIN).netloc} {urlsplit(stack.places.dashboard_url).netloc}"


def _ask(page: Page, text: str) -> None:
    message = page.get_by_role("textbox", name="Message", exact=True)
    message.fill(text)
    message.press("Enter")
    # Only what was answered and charged has a link to its call.
    page.get_by_role("article").get_by_role("link").wait_for()


def _settle(page: Page) -> None:
    """Wait until the page has all that it asks for."""
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_function(SETTLED)


if __name__ == "__main__":
    main(sys.argv[1:])
