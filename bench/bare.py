"""The least that an answer costs here: the edge's own server before an application that reads a body and answers.

`python -m bench.bare` prints its port and serves until it is ended.
"""

import json
from functools import partial

import uvloop
from starlette.types import Receive, Scope, Send

from edge.server import Server, listen, port_of

ANSWER = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "tok " * 8}}]}).encode()
HEAD = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def answer(_: Scope, receive: Receive, send: Send) -> None:
    """The same answer to every request."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEAD})
    await send({"type": "http.response.body", "body": ANSWER})


async def main() -> None:
    """Serve until the process is ended."""
    sockets = listen("127.0.0.1", [0])

    async def drain() -> None:
        return

    server = Server(
        answer, started=partial(print, port_of(sockets[0]), flush=True), drain=drain, drain_s=0, keep_alive_s=75
    )
    await server.serve(sockets)


if __name__ == "__main__":
    uvloop.run(main())
