"""A process that serves the echo service, to be stopped by a signal: `python echo_process.py ADDRESS [death|deaf]`."""

import asyncio
import sys
from contextlib import suppress

from kit import logs
from kit.server import run, serve
from tests.support import echo


async def slow(request: bytes, _: object) -> bytes:
    """Takes as many seconds as the request says, and tells when it begins."""
    if request:
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        await asyncio.sleep(float(request))
    return b"slept"


async def dies() -> None:
    """A background task with a fault."""
    await asyncio.sleep(0.1)
    raise RuntimeError("the relay broke")


async def lasts() -> None:
    """A background task that tells when it is cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        sys.stdout.write("background cancelled\n")


async def deaf() -> None:
    """A background task that loses its first cancellation, as one does whose database breaks at that moment."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await lasts()


async def main() -> None:
    """Serves until told to stop."""
    await serve(
        name="echo",
        listen=sys.argv[1],
        register=echo.Echo(slow).register,
        services=[echo.NAME],
        background={"death": [lasts, dies], "deaf": [deaf]}.get(sys.argv[-1], [lasts]),
    )


if __name__ == "__main__":
    logs.configure("echo")
    run(main())
