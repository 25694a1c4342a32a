"""Going through a page without a mouse."""

from playwright.sync_api import Locator, Page


def tab_to(page: Page, wanted: Locator, *, within: int = 60) -> None:
    """Press Tab until it has the focus; AssertionError where it is not among the next ones."""
    for _ in range(within):
        page.keyboard.press("Tab")
        if wanted.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"not reached by {within} times Tab: {wanted}")
