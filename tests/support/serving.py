"""An HTTP server for tests that start one each."""

import asyncio
import socket

import uvicorn


class Server(uvicorn.Server):
    """Ends when it can; the real one looks ten times a second whether it is to end, and then rests as long again."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.leaving = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.leaving.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in [*self.server_state.connections]:
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(0.001)
        await asyncio.gather(*(server.wait_closed() for server in self.servers))
