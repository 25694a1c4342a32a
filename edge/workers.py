"""Several processes that serve the same ports: forked from one that only watches them.

Each worker is an edge by itself, with listening sockets of its own among which the kernel deals out connections. The
parent and a worker each hold one end of a pair of sockets: the worker says there that it serves, and the death of the
one closes the other's end.
"""

import asyncio
import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kit.logs import get_logger

PAUSE_S = 1.0
"""Before a worker that died is started again."""
_MOST_BYTES = 4096
_STOPS = (signal.SIGTERM, signal.SIGINT)

Ports = Mapping[str, int | None]

log = get_logger()


class Worker:
    """What a worker knows: its number, from 0, and how to reach its parent."""

    def __init__(self, number: int, parent: socket.socket) -> None:
        self.number = number
        self._parent = parent

    def watch_parent(self, died: Callable[[], None]) -> None:
        """Call `died`, from the running loop, when nobody watches this worker any more."""
        loop = asyncio.get_running_loop()

        def noted() -> None:
            loop.remove_reader(self._parent)
            died()

        loop.add_reader(self._parent, noted)

    def serves(self, ports: Ports) -> None:
        """Tell the parent."""
        with contextlib.suppress(OSError):  # it has died, which shows at the other end
            self._parent.send(json.dumps(ports).encode())


@dataclass(slots=True)
class _Child:
    pid: int
    socket: socket.socket
    serves: bool = False


class Workers:
    """Keeps `count` workers running; `all_serve` is called once, with the ports of the first, when all of them do."""

    def __init__(self, count: int, all_serve: Callable[[Ports], None]) -> None:
        self._all_serve = all_serve
        self._ports: list[Ports | None] = [None] * count
        self._children: dict[int, _Child] = {}
        self._due: dict[int, float] = dict.fromkeys(range(count), 0.0)
        """When the workers that do not run are to be started."""
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._code = 0

    def run(self) -> Worker:
        """Returns in each worker. The parent exits by SystemExit when all have ended, asked to by a signal, or because
        one could not begin at the start of the whole; it gets that one's code.
        """
        for signum in _STOPS:
            signal.signal(signum, lambda *_: self._stop())
        while self._children or (self._due and not self._stopping):
            for number in self._now_due():
                worker = self._fork(number)
                if worker:
                    return worker
            for key, _ in self._selector.select(self._wait_s()):
                self._hear(key.data)
        sys.exit(self._code)

    def _stop(self) -> None:
        """Asks all to end; the second time they do at once."""
        self._stopping = True
        for child in self._children.values():
            os.kill(child.pid, signal.SIGTERM)

    def _now_due(self) -> list[int]:
        now_s = time.monotonic()
        return [number for number, at_s in self._due.items() if at_s <= now_s]

    def _wait_s(self) -> float | None:
        return max(0.0, min(self._due.values()) - time.monotonic()) if self._due and not self._stopping else None

    def _fork(self, number: int) -> Worker | None:
        """A Worker in the new process, None in this one; nothing where all are to end."""
        # A signal in between waits, for the one who is to get it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        if self._stopping:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            return None
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become_worker()
            return Worker(number, theirs)
        theirs.close()
        del self._due[number]
        self._children[number] = _Child(pid, ours)
        self._selector.register(ours, selectors.EVENT_READ, number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        return None

    def _become_worker(self) -> None:
        self._selector.close()
        for child in self._children.values():
            child.socket.close()
        # The parent passes on what a terminal sends: twice would be a hurry.
        os.setpgid(0, 0)
        for signum in _STOPS:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    def _hear(self, number: int) -> None:
        """A worker serves, or has ended."""
        child = self._children[number]
        try:
            said = child.socket.recv(_MOST_BYTES)
        except ConnectionResetError:
            said = b""
        if not said:
            self._bury(number, child)
            return
        child.serves = True
        begins = None in self._ports
        self._ports[number] = json.loads(said)
        if begins and None not in self._ports and self._ports[0]:
            self._all_serve(self._ports[0])

    def _bury(self, number: int, child: _Child) -> None:
        self._selector.unregister(child.socket)
        child.socket.close()
        # No longer one to be told to end: its process id may soon be another's.
        del self._children[number]
        code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        if self._stopping:
            self._code = self._code or code
        elif None in self._ports and not child.serves:
            self._code = code
            self._stop()
        else:
            log.error("worker_died", worker=number, pid=child.pid, code=code)
            self._due[number] = time.monotonic() + PAUSE_S
