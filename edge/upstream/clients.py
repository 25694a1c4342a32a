"""Makes the Client that a setting names."""

import ssl

from edge.upstream.aiohttp_client import AiohttpClient
from edge.upstream.client import MAX_CONNECTIONS, Client, ClientKind
from edge.upstream.pool import Pool


def make_client(
    kind: ClientKind, *, tls: ssl.SSLContext | None = None, max_connections: int = MAX_CONNECTIONS
) -> Client:
    """A client, made inside the running loop; whom it believes with `https` is in `tls`, else what the system has."""
    made = Pool if kind is ClientKind.POOL else AiohttpClient
    return made(tls=tls, max_connections=max_connections)
