"""Who takes part: where to send requests, which processes are the gateway, how it is held still while others run."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A running gateway in front of the fake upstream, or the upstream itself."""

    name: str
    port: int
    model: str
    """What a request asks for."""
    headers: tuple[str, ...] = ()
    path: str = "/v1/chat/completions"
    version: str = ""
    pids: Callable[[], list[int]] = field(default=list)
    """The gateway's own processes: what runs on its core."""
    helpers: Callable[[], list[int]] = field(default=list)
    """What belongs to it on the other core: databases, services."""
    may_pause: bool = False

    def pause(self) -> None:
        """Stop it where it is, so that it takes nothing from the one that is measured."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.may_pause:
            for pid in self.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
