"""Prometheus metrics: shared bucket sizes and the exposition server of a process."""

from prometheus_client import start_http_server

RPC_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def start(port: int | None, *, address: str = "0.0.0.0") -> int | None:  # noqa: S104 (scrapers come from other hosts)
    """Serves `/metrics` from a thread of its own; no port, no server. OSError when it is taken.

    The port that it got: another one where 0, any free one, was asked for.
    """
    if port is None:
        return None
    server, _ = start_http_server(port, address)
    return server.server_port
