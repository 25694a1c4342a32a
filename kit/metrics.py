"""Prometheus metrics: shared bucket sizes, the exposition server of a process, and how late its event loop is."""

import asyncio

from prometheus_client import Histogram, start_http_server

RPC_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
LAG_INTERVAL_S = 0.5

_lag = Histogram("event_loop_lag_seconds", "How late a timer was, asked twice a second.", buckets=_LAG_BUCKETS_S)


class LoopLag:
    """Watches the running event loop until it is stopped; by a timer, since a task would be one more to account for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(LAG_INTERVAL_S, self._look, self._loop.time() + LAG_INTERVAL_S)

    def _look(self, due_s: float) -> None:
        now_s = self._loop.time()
        _lag.observe(max(0.0, now_s - due_s))
        self._timer = self._loop.call_later(LAG_INTERVAL_S, self._look, now_s + LAG_INTERVAL_S)

    def stop(self) -> None:
        """Watches no longer."""
        self._timer.cancel()


def start(port: int | None, *, address: str = "0.0.0.0") -> int | None:  # noqa: S104 (scrapers come from other hosts)
    """Serves `/metrics` from a thread of its own; no port, no server. OSError when it is taken.

    The port that it got: another one where 0, any free one, was asked for.
    """
    if port is None:
        return None
    server, _ = start_http_server(port, address)
    return server.server_port
