"""The dashboard's built files, read once and answered from memory."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from edge.etags import matches
from kit.logs import get_logger

POLICY: Final = (
    "default-src 'none'; script-src 'self'; "
    # The component library, Mantine, adds style elements and attributes while it runs.
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Written out, because the table of the operating system differs from machine to machine."""
CODINGS: Final = {"br": ".br", "gzip": ".gz"}
"""Content codings, the best one first, and how the file is named that holds a file's bytes in it."""
NOT_BUILT: Final = (
    "The dashboard has not been built. Run `make dashboard` and start again.\n"
    "The API works without it; /api/docs is its reference.\n"
)

_PAGES = re.compile(
    r"/(?:(?:login|signup|dashboard|keys|billing|usage|models|playground|settings|docs|admin)(?:/.*)?)?"
)
_OTHERS = re.compile(r"/(?:api|v1|health|metrics)(?:/.*)?")
_REFUSED = re.compile(r"\s*q\s*=\s*0(?:\.0{0,3})?\s*", re.IGNORECASE)

log = get_logger()


@dataclass(frozen=True, slots=True)
class File:
    """A file's bytes by content coding (`identity` always among them), and the headers of every answer with it."""

    bodies: Mapping[str, bytes]
    headers: Mapping[str, str]
    etag: str

    def answer(self, request: Headers, *, head: bool, status: int = 200) -> Response:
        """The file, or 304 where the client has it."""
        coding = _coding(request.get("accept-encoding", ""), self.bodies)
        # Two codings of a file are two representations, which must not share a strong ETag.
        etag = f'"{self.etag}-{coding}"'
        headers = {**self.headers, "etag": etag, "vary": "accept-encoding"}
        if status == 200 and matches(request.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        body = self.bodies[coding]
        headers["content-length"] = str(len(body))
        if coding != "identity":
            headers["content-encoding"] = coding
        return Response(b"" if head else body, status, headers=headers)


class Dashboard:
    """An ASGI application for the paths that no route of the API takes; HTTPException 404 where it has nothing.

    Which of its pages a path shows is decided in the browser, so that all of them are one file.
    """

    def __init__(self, files: Mapping[str, File]) -> None:
        self._files = dict(files)
        self._index = self._files.pop("/index.html", None)

    @classmethod
    def read(cls, directory: Path) -> "Dashboard":
        """All of what Vite built; without it, pages say how to build it."""
        files = dict(_read(directory))
        if "/index.html" not in files:
            log.warning("dashboard_not_built", directory=str(directory))
        return cls(files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._answer(scope["method"], scope["path"], Headers(scope=scope))(scope, receive, send)

    def _answer(self, method: str, path: str, headers: Headers) -> Response:
        if method not in ("GET", "HEAD") or _OTHERS.fullmatch(path):
            raise HTTPException(404)
        if file := self._files.get(path):
            return file.answer(headers, head=method == "HEAD")
        # Names of models have dots, and pages have names of models in their paths.
        known = _PAGES.fullmatch(path) is not None
        if not known and "." in path.rpartition("/")[2]:
            raise HTTPException(404)
        if self._index is None:
            return PlainTextResponse(NOT_BUILT, 503 if known else 404)
        return self._index.answer(headers, head=method == "HEAD", status=200 if known else 404)


def _read(directory: Path) -> Iterable[tuple[str, File]]:
    for path in directory.rglob("*"):
        if not path.is_file() or path.name.startswith(".") or path.suffix in CODINGS.values():
            continue
        bodies = {"identity": path.read_bytes()}
        for coding, suffix in CODINGS.items():
            coded = path.with_name(path.name + suffix)
            if coded.is_file():
                bodies[coding] = coded.read_bytes()
        name = f"/{path.relative_to(directory).as_posix()}"
        yield name, File(bodies, _headers(name, path.suffix), hashlib.sha256(bodies["identity"]).hexdigest()[:32])


def _headers(name: str, suffix: str) -> Mapping[str, str]:
    # Names in /assets/ hold a hash of what is in the file. The others are asked for again each time, at the price of a
    # 304, so that a new release is seen at once.
    kept = "public, max-age=31536000, immutable" if name.startswith("/assets/") else "no-cache"
    headers = {"content-type": TYPES.get(suffix, "application/octet-stream"), "cache-control": kept}
    return headers | {"content-security-policy": POLICY} if suffix == ".html" else headers


def _coding(accepted: str, bodies: Mapping[str, bytes]) -> str:
    offered = set()
    for each in accepted.split(","):
        name, _, weight = each.partition(";")
        if not _REFUSED.fullmatch(weight):
            offered.add(name.strip().lower())
    return next((coding for coding in CODINGS if coding in offered and coding in bodies), "identity")
