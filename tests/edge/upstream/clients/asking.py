"""Short ways to ask a client something."""

import asyncio
from dataclasses import dataclass

from edge.upstream.aiohttp_client import AiohttpClient
from edge.upstream.client import Broken, Client, Response

HEADERS = {"content-type": "application/json", "accept-encoding": "identity", "x-request-id": "r-1"}


@dataclass(frozen=True)
class Told:
    """An answer, as far as it came."""

    status: int
    content_type: str
    body: bytes
    broken: bool = False


async def ask(client: Client, url: str, *, body: bytes = b"{}", connect_timeout_s: float = 5.0) -> Response:
    return await client.post(url, headers=HEADERS, body=body, connect_timeout_s=connect_timeout_s, sent=lambda: None)


async def read(response: Response) -> bytes:
    """The body, to its end."""
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)


async def told(client: Client, url: str, *, body: bytes = b"{}") -> Told:
    """The whole of it, and then the connection is given back; 0 is the status where no head came."""
    try:
        response = await ask(client, url, body=body)
    except Broken:
        return Told(0, "", b"", broken=True)
    pieces, broken = [], False
    is_aiohttp = isinstance(client, AiohttpClient)
    try:
        async with asyncio.timeout(0.5 if is_aiohttp else 10):
            while piece := await response.read():
                pieces.append(piece)
    except Broken:
        broken = True
    except TimeoutError:
        # It does not tell of some broken chunks; in the money path the limit on silence ends that.
        assert is_aiohttp
        broken = True
    response.release()
    return Told(response.status, response.header("Content-Type"), b"".join(pieces), broken)
