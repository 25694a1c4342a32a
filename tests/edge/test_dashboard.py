"""The dashboard's files as a browser gets them: pages, assets, caching, compression, and what it must not get."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from edge.app import Edge
from edge.dashboard import NOT_BUILT, Dashboard
from edge.deps import Deps
from kit.ids import IdFactory

INDEX = b"<!doctype html><title>PrivateRouter</title>"
SCRIPT = b"console.log('hello');\n" * 50
FILES = {
    "index.html": INDEX,
    "index.html.br": b"index by brotli",
    "index.html.gz": gzip.compress(INDEX),
    "assets/index-4f2a.js": SCRIPT,
    "assets/index-4f2a.js.br": b"script by brotli",
    "assets/index-4f2a.js.gz": gzip.compress(SCRIPT),
    "assets/inter-9c1e.woff2": b"font",
    "favicon.svg": b"<svg/>",
    "theme.js": b"document",
    ".stamp": b"not for browsers",
}
SCRIPT_PATH = "/assets/index-4f2a.js"
BROWSER = "gzip, deflate, br, zstd"


def edge_with(directory: Path) -> httpx.AsyncClient:
    """A client without preferences of an edge that has no services, but these files."""
    deps = cast(Deps, SimpleNamespace(ids=IdFactory()))
    edge = Edge(deps, raw={}, v1=[], pages=Dashboard.read(directory))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://localhost:3000")
    del client.headers["accept-encoding"]
    return client


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an edge with a small dashboard, next to which lies a file that is not part of it."""
    dist = tmp_path / "dist"
    for name, content in FILES.items():
        file = dist / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "private.txt").write_text("a secret")
    async with edge_with(dist) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/keys", "/docs", "/settings/sessions", "/admin/users/0190", "/models/privaterouter/qwen2.5"],
)
async def test_every_page_is_the_index_and_may_only_use_what_comes_from_here(
    browser: httpx.AsyncClient, path: str
) -> None:
    page = await browser.get(path)
    assert (page.status_code, page.content) == (200, INDEX)
    assert {
        name: value for name, value in page.headers.items() if name not in ("x-request-id", "etag", "content-length")
    } == {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-cache",
        "vary": "accept-encoding",
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
    }


@pytest.mark.parametrize("path", ["/nothing", "/loginx", "/keys2/3", "/../private"])
async def test_an_unknown_page_is_shown_by_the_index_as_well_but_is_a_404(
    browser: httpx.AsyncClient, path: str
) -> None:
    page = await browser.get(path)
    assert (page.status_code, page.content) == (404, INDEX)
    again = await browser.get(path, headers={"if-none-match": page.headers["etag"]})
    assert again.status_code == 404


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/api"),
        ("GET", "/api/nothing"),
        ("GET", "/v1"),
        ("GET", "/v1/models.html"),
        ("GET", "/health/nothing"),
        ("GET", "/metrics"),
        ("GET", "/assets/index-0000.js"),
        ("GET", "/robots.txt"),
        ("GET", "/index.html"),
        ("GET", "/index.html.br"),
        ("GET", "/assets/index-4f2a.js.gz"),
        ("GET", "/.stamp"),
        ("GET", "/../private.txt"),
        ("GET", "/assets/../../private.txt"),
        ("GET", "/%2e%2e/private.txt"),
        ("GET", "/assets/%2e%2e%2f%2e%2e%2fprivate.txt"),
        ("GET", "//private.txt"),
        ("POST", "/"),
        ("POST", "/login"),
        ("DELETE", SCRIPT_PATH),
    ],
)
async def test_what_is_not_part_of_it_is_the_usual_error(browser: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await browser.request(method, f"http://localhost:3000{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] in ("not_found", "endpoint_not_supported")
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path, kind, cached",
    [
        (SCRIPT_PATH, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ("/assets/inter-9c1e.woff2", "font/woff2", "public, max-age=31536000, immutable"),
        ("/favicon.svg", "image/svg+xml", "no-cache"),
        ("/theme.js", "text/javascript; charset=utf-8", "no-cache"),
    ],
)
async def test_a_file_is_kept_for_ever_where_its_name_holds_its_hash(
    browser: httpx.AsyncClient, path: str, kind: str, cached: str
) -> None:
    answer = await browser.get(path)
    assert (answer.status_code, answer.content) == (200, FILES[path[1:]])
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (kind, cached)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "accepted, coding",
    [
        (BROWSER, "br"),
        ("BR;q=0.1, gzip;q=1.0", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br; q=0.000, gzip; q=0", None),
        ("identity", None),
        ("", None),
        ("brotli, gzipped", None),
    ],
)
async def test_the_best_coding_is_sent_that_the_browser_takes(
    browser: httpx.AsyncClient, accepted: str, coding: str | None
) -> None:
    async with browser.stream("GET", SCRIPT_PATH, headers={"accept-encoding": accepted}) as answer:
        sent = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.headers["content-length"] == str(len(sent))
    assert sent == {"br": b"script by brotli", "gzip": FILES["assets/index-4f2a.js.gz"], None: SCRIPT}[coding]


async def test_a_file_that_was_not_compressed_is_sent_as_it_is(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/favicon.svg", headers={"accept-encoding": BROWSER})
    assert (answer.content, answer.headers.get("content-encoding")) == (b"<svg/>", None)


@pytest.mark.parametrize("path", ["/", "/keys", SCRIPT_PATH, "/favicon.svg"])
async def test_what_the_browser_has_is_not_sent_again(browser: httpx.AsyncClient, path: str) -> None:
    first = await browser.get(path)
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await browser.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b""), known
        assert {again.headers[name] for name in ("etag", "vary")} == {etag, "accept-encoding"}
        assert again.headers["cache-control"] == first.headers["cache-control"]
    changed = await browser.get(path, headers={"if-none-match": '"other"'})
    assert (changed.status_code, changed.content) == (200, first.content)


async def test_codings_of_a_file_have_etags_of_their_own(browser: httpx.AsyncClient) -> None:
    seen = set()
    for accepted in ("br", "gzip", "identity"):
        async with browser.stream("GET", "/", headers={"accept-encoding": accepted}) as answer:
            seen.add(answer.headers["etag"])
    assert len(seen) == 3


@pytest.mark.parametrize("path", ["/", "/nothing", SCRIPT_PATH])
async def test_head_has_the_headers_of_get_and_no_body(browser: httpx.AsyncClient, path: str) -> None:
    whole, head = await browser.get(path), await browser.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    for headers in (whole.headers, head.headers):
        del headers["x-request-id"]
    assert head.headers == whole.headers


async def test_without_a_build_pages_say_how_to_make_one(tmp_path: Path) -> None:
    async with edge_with(tmp_path / "missing") as client:
        for path, status in (("/", 503), ("/keys", 503), ("/nothing", 404)):
            page = await client.get(path)
            assert (page.status_code, page.text) == (status, NOT_BUILT)
            assert page.headers["cache-control"] == "no-store"
        assert (await client.get("/api/nothing")).json()["error"]["code"] == "not_found"
