"""Small questions to upstreams, off the hot path: a GET with a deadline, and an answer of a bounded size."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp

from edge.upstream.client import Broken, Unreachable

TIMEOUT_S: Final = 5.0
MAX_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Got:
    """An answer with the whole of its body."""

    status: int
    body: bytes


class Get(Protocol):
    """Asks for an address."""

    async def __call__(self, url: str, *, headers: Mapping[str, str]) -> Got:
        """The answer. Raises UpstreamError, within a time limit whatever happens."""
        ...


class Getter:
    """A Get by aiohttp. Made inside the running loop. Follows no redirect: its headers may hold a credential."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, force_close=True, ttl_dns_cache=10),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"accept-encoding": "identity"},
            auto_decompress=False,
        )

    async def __call__(self, url: str, *, headers: Mapping[str, str]) -> Got:
        """As Get says."""
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.get(url, headers=headers, allow_redirects=False) as response,
            ):
                return Got(response.status, await self._read(response))
        except TimeoutError:
            raise Broken(f"no answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Broken(f"{type(error).__name__}: {error}") from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        pieces, size = [], 0
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > self._max_bytes:
                raise Broken(f"an answer of over {self._max_bytes} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def close(self) -> None:
        """Closes what is open."""
        await self._session.close()
