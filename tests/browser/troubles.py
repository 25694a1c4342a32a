"""What goes wrong in a page while a test looks elsewhere: it fails the test, unless the test said so before."""

from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response


class Troubles:
    """Collects from any number of pages: errors of scripts and on the console (a refusal by the content security policy
    is one), requests without an answer, and answers that are errors, as `401 POST /api/auth/login`.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        # Whether somebody is signed in is found out by asking.
        self._allowed = ["401 GET /api/auth/me"]
        self._expected: list[str] = []

    def expect(self, part: str) -> None:
        """This will happen in this test, at least once: any trouble with this text in it."""
        self._expected.append(part)

    def allow(self, part: str) -> None:
        """This may happen in this test."""
        self._allowed.append(part)

    def watch(self, page: Page) -> None:
        """Listen to a page from now on."""
        page.on("console", self._on_console)
        page.on("pageerror", self._on_error)
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)

    def check(self) -> None:
        """AssertionError for what nobody expected, and for what was expected and did not come."""
        known = [*self._allowed, *self._expected]
        surprises = [trouble for trouble in self.seen if not any(part in trouble for part in known)]
        assert not surprises, "\n".join(["went wrong in the page:", *surprises])
        missing = [part for part in self._expected if not any(part in trouble for trouble in self.seen)]
        assert not missing, f"expected in vain: {missing}; there were: {self.seen}"

    def _on_console(self, message: ConsoleMessage) -> None:
        # Answers that are errors are told on the console as well, but without the method.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.seen.append(f"console: {message.text} ({message.location['url']})")

    def _on_error(self, error: Error) -> None:
        self.seen.append(f"error: {error.stack or error.message}")

    def _on_failure(self, request: Request) -> None:
        # A page that is left takes back what it has asked for.
        if request.failure != "net::ERR_ABORTED":
            self.seen.append(f"{request.failure} {request.method} {_path(request.url)}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.seen.append(f"{response.status} {response.request.method} {_path(response.url)}")


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[-1]
