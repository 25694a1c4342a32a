"""What every page must be: usable by everybody, and no wider than the screen."""

from typing import Any, Literal, Protocol

from playwright.sync_api import Page

from tests.browser import chromium

Scheme = Literal["light", "dark"]


class OpenPage(Protocol):
    """Type of the fixture `open_page`."""

    def __call__(self, *, width: int = 1280, height: int = 800, scheme: Scheme = "light", touch: bool = False) -> Page:
        """A page on a screen of this size (in pixels)."""


RULES = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]
# What opens over a page (menus, tips) stands outside of all landmarks.
UNCHECKED = ["region"]
RUN = """([tags, unchecked]) => axe.run({
    runOnly: tags,
    rules: Object.fromEntries(unchecked.map((rule) => [rule, { enabled: false }])),
    resultTypes: ["violations"],
})"""
WIDEST = """() => [...document.querySelectorAll("body *")]
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
    .map((element) => element.outerHTML.slice(0, 160))"""


def assert_accessible(page: Page, *, unchecked: tuple[str, ...] = ()) -> None:
    """Nothing of what axe can see keeps anybody out; `unchecked` names rules that what is not ours breaks."""
    if not page.evaluate("() => 'axe' in globalThis"):
        # As a script element it would be refused by the content security policy.
        page.evaluate(chromium.axe())
    found = page.evaluate(RUN, [RULES, [*UNCHECKED, *unchecked]])["violations"]
    assert not found, f"{page.url}\n" + "\n".join(line for violation in found for line in _lines(violation))


def assert_fits(page: Page) -> None:
    """The page itself cannot be moved sideways; what is wide moves in a box of its own."""
    wide, screen = page.evaluate("() => [document.scrollingElement.scrollWidth, innerWidth]")
    assert wide <= screen, "\n".join([f"{page.url} is {wide} px wide on {screen} px:", *page.evaluate(WIDEST)])


def _lines(violation: dict[str, Any]) -> list[str]:
    nodes = [f"    {' '.join(map(str, node['target']))}: {node['failureSummary']}" for node in violation["nodes"]]
    return [f"{violation['id']} ({violation['impact']}): {violation['help']}", *nodes]
