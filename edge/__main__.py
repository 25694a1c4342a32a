"""Serves `/v1`, `/api` and the pages: `python -m edge`."""

import asyncio
import gc
import json
import os
import signal
import socket
import sqlite3
import sys
from functools import partial
from pathlib import Path

from edge.server import Server, listen, port_of, reserve
from edge.settings import EdgeSettings
from edge.workers import Ports, Worker, Workers
from kit import logs, metrics, starting, tracing
from kit.lean import hide
from kit.logs import get_logger
from kit.metrics import LoopLag
from kit.server import run
from kit.settings import load

GC_THRESHOLDS = (50_000, 20, 100)
"""Requests make few cycles: looking for them less often costs a little memory and saves pauses."""

log = get_logger()


async def main(
    settings: EdgeSettings, sockets: list[socket.socket], ports: Ports, *, worker: Worker | None = None
) -> None:
    """Serve on open sockets until told to stop; all usage has been shipped when this returns, or waits on disk.

    `worker`: this is one of several.
    """
    from edge.parts import built  # noqa: PLC0415 - most of what is imported, after `start` has turned collecting off

    await starting.wait_for(starting.valkey(settings.redis_url), within_s=settings.start_within_s)
    lag = LoopLag()
    async with built(settings) as whole:
        server = Server(
            whole.edge,
            drain=whole.drain,
            drain_s=settings.edge_drain_s,
            keep_alive_s=settings.edge_keep_alive_s,
            trusted_proxies=settings.trusted_proxies,
            started=lambda: _started(settings, ports, worker),
        )
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, server.stop)
        if worker:
            worker.watch_parent(server.stop)
        await server.serve(sockets)
        log.info("draining_done")
    lag.stop()


def _started(settings: EdgeSettings, ports: Ports, worker: Worker | None) -> None:
    """Requests are answered from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    if worker:
        worker.serves(ports)
    else:
        _tell_ports(settings, ports)
    log.info("listening", **ports)


def _tell_ports(settings: EdgeSettings, ports: Ports) -> None:
    if settings.edge_ports_file:
        write_whole(settings.edge_ports_file, json.dumps(ports))


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


def start() -> None:
    """Take the ports first, so that a taken one is said before anything else is started."""
    # Nearly all that is made from here on stays: looking for cycles in it takes a tenth of the start.
    gc.disable()
    # FastAPI asks of each annotation whether it is of the old Pydantic, which nothing here uses: as much again.
    hide("pydantic.v1")
    import edge.parts  # noqa: F401, PLC0415 - workers are forked with it, so that they share its memory

    settings = load(EdgeSettings)
    logs.configure("edge", level=settings.log_level)
    try:
        if settings.edge_workers == 1:
            serve(settings, listen(settings.edge_host, [settings.edge_port, settings.dashboard_port]))
        else:
            serve_together(settings)
    except (OSError, sqlite3.Error) as error:
        sys.exit(f"The edge cannot run: {error}.")
    log.info("stopped")


def serve_together(settings: EdgeSettings) -> None:
    """Be one of several workers, or, by SystemExit, the parent that watched them."""
    reserved = reserve(settings.edge_host, [settings.edge_port, settings.dashboard_port])
    worker = Workers(settings.edge_workers, partial(_tell_ports, settings)).run()
    sockets = listen(settings.edge_host, [port_of(each) for each in reserved], shared=True)
    for each in reserved:
        each.close()
    serve(settings, sockets, worker=worker)


def serve(settings: EdgeSettings, sockets: list[socket.socket], *, worker: Worker | None = None) -> None:
    """Serve on open sockets until told to stop."""
    tracing.start("edge", settings)
    first = settings.metrics_port
    own = first + worker.number if first and worker else first
    ports = {
        "api_port": port_of(sockets[0]),
        "dashboard_port": port_of(sockets[1]),
        "metrics_port": metrics.start(own, address=settings.edge_host),
    }
    run(main(settings, sockets, ports, worker=worker))


if __name__ == "__main__":
    start()
