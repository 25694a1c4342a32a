"""Makes the Client that a setting names."""

import ssl

from edge.upstream.client import MAX_CONNECTIONS, Client, ClientKind
from edge.upstream.pool import Pool


def make_client(
    kind: ClientKind, *, tls: ssl.SSLContext | None = None, max_connections: int = MAX_CONNECTIONS
) -> Client:
    """A client, made inside the running loop; whom it believes with `https` is in `tls`, else what the system has."""
    if kind is ClientKind.POOL:
        return Pool(tls=tls, max_connections=max_connections)
    # Imported where it is wanted: it takes a tenth of the edge's start.
    from edge.upstream.aiohttp_client import AiohttpClient  # noqa: PLC0415

    return AiohttpClient(tls=tls, max_connections=max_connections)
