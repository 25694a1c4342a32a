"""Reads the body of a raw ASGI request, counting its bytes as they come."""

from collections.abc import Iterable

from starlette.types import Receive

from edge.errors import EdgeError


class ClientGone(Exception):
    """The client left before its request was complete: there is nobody to answer."""


async def read_body(headers: Iterable[tuple[bytes, bytes]], receive: Receive, *, most: int) -> bytes:
    """The whole body. EdgeError `request_too_large` as soon as it is, `unsupported_media_type` where compressed."""
    for name, value in headers:
        if name == b"content-encoding" and value.lower() != b"identity":
            raise EdgeError("unsupported_media_type", "Compressed request bodies are not accepted. Send it as it is.")
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        _check(len(body), most)
        return body
    pieces = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        size += len(piece)
        _check(size, most)
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)
        message = await receive()


def _check(size: int, most: int) -> None:
    if size > most:
        raise EdgeError("request_too_large", f"The request body is over {most // 1024 // 1024} MiB. Send less.")
