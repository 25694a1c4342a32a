"""Content that an upstream would fetch: only images, and only from the open web, however the link is written."""

import json
from typing import Any

import pytest

from tests.edge.v1.gateway import Gateway
from tests.edge.v1.smuggling import CONVERSATIONS, ROUTES, decision, plain, refused_param

PARTED = [(path, ROUTES[path].text) for path in [*CONVERSATIONS, "/v1/responses"]]

NO_IMAGES = [
    "file:///etc/passwd", "FILE:///etc/passwd", " file:///etc/passwd", "/etc/passwd", "ftp://example.com/a.png",
    "gopher://example.com/", "javascript:1", "s3://bucket/a.png", "//example.com/a.png", "https:example.com", "http://",
    "data:text/html,x", "data:,", "DATA:application/pdf;base64,AA", "iVBORw0KGgo=",
    "http://127.0.0.1/a.png", "HTTP://127.0.0.1/a.png", "http://127.0.0.1:8001/", "http://10.0.0.1/",
    "http://192.168.1.1/", "http://172.16.0.1/", "http://169.254.169.254/latest/meta-data", "http://0.0.0.0/",
    "http://[::1]/", "http://[fe80::1]/", "http://[::ffff:127.0.0.1]/", "http://[fd00::1]/", "http://127.1/",
    "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.0.0.1./", "http://localhost/a.png",
    "https://LOCALHOST:9/", "http://x.localhost/", "http://localhost./", "http://redis:6379/",
    "http://metadata.google.internal/", "http://a@127.0.0.1/", "http://example.com@127.0.0.1/",
    "http://127.0.0.1\\@example.com/", "http://exa mple.com/", "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/", "http://%31%32%37.0.0.1/", "http://[::1", "http://example.com:99999/",
    "http://\n127.0.0.1/", "http://224.0.0.1/",
]  # fmt: skip


def shown(path: str, url: str) -> dict[str, Any]:
    """Fields that show an image to the model."""
    part: dict[str, Any] = {"type": "image_url", "image_url": {"url": url}}
    if path == "/v1/responses":
        part = {"type": "input_image", "image_url": url}
    elif ROUTES[path].is_anthropic:
        part = {"type": "image", "source": {"type": "url", "url": url}}
    return {"input" if path == "/v1/responses" else "messages": [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize("url", NO_IMAGES)
async def test_a_link_to_what_is_no_image_of_the_web_is_refused(gateway: Gateway, url: str) -> None:
    """A server would open it, from a place where more can be reached than from here."""
    for path, field in PARTED:
        named = await refused_param(gateway, path, plain(path, **shown(path, url)))
        assert str(named).startswith(field), path


IMAGES = [
    "https://example.com/a.png?b=c@d#e", "HTTPS://Example.COM:8443/a.png", "http://8.8.8.8/a.png",
    "http://[2606:4700::1]/", "data:image/png;base64,AAAA", "DATA:image/PNG;base64,AAAA", "https://a_b.example.com/x y",
]  # fmt: skip


@pytest.mark.parametrize("url", IMAGES)
async def test_an_image_of_the_web_passes(gateway: Gateway, url: str) -> None:
    for path, _ in PARTED:
        assert await decision(gateway, path, plain(path, **shown(path, url))) == (200, ""), path


FETCHED = ["http://example.com/a", "https://example.com/a", "file:///etc/passwd", "FILE:/etc/passwd", " s3://b/a"]


@pytest.mark.parametrize("data", FETCHED)
async def test_data_that_is_an_address_is_refused(gateway: Gateway, data: str) -> None:
    parts: list[dict[str, Any]] = [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
    ]
    for path in ("/v1/chat/completions", "/v1/quote"):
        for part in parts:
            body = plain(path, messages=[{"role": "user", "content": [part]}])
            assert await refused_param(gateway, path, body) == "messages"
    for part in ({"type": "input_file", "filename": "a.pdf", "file_data": data}, parts[1]):
        body = plain("/v1/responses", input=[{"role": "user", "content": [part]}])
        assert (await refused_param(gateway, "/v1/responses", body) or "").startswith("input[0].content[0]")
    for kind in ("image", "document"):
        block = {"type": kind, "source": {"type": "base64", "media_type": "image/png", "data": data}}
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            body = plain(path, messages=[{"role": "user", "content": [block]}])
            assert (await refused_param(gateway, path, body) or "").startswith("messages[0].content[0]")


DISGUISED: list[dict[str, Any]] = [
    {"type": "Image_Url", "image_url": {"url": "https://example.com/a.png"}},
    {"type": "image_url", "Image_URL": {"url": "https://example.com/a.png"}},
    {"type": "video_url", "Video_Url": {"url": "https://example.com/a.mp4"}},
    {"type": "document_url", "document_url": "https://example.com/a.pdf"},
    {"type": "x", "File_URL": "https://example.com/a.pdf"},
    {"type": "file", "FILE": {"file_id": "file-1"}},
    {"type": "file", "file": {"File_Id": "file-1"}},
    {"type": "image_url", "image_url": "file:///etc/passwd"},
    {"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}},
    {"type": "image_url", "image_url": {"URL": "file:///etc/passwd"}},
    {"type": "input_audio", "Input_Audio": {"data": "x"}},
]


@pytest.mark.parametrize("part", DISGUISED, ids=json.dumps)
async def test_content_in_disguise_is_refused(gateway: Gateway, part: dict[str, Any]) -> None:
    for path in ("/v1/chat/completions", "/v1/quote"):
        assert await refused_param(gateway, path, plain(path, messages=[{"role": "user", "content": [part]}])) == (
            "messages"
        )
