"""Answers as servers send them, sound and broken."""

from tests.edge.upstream.clients.asking import Told

SOUND = {
    "content-length": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello",
        Told(200, "text/plain", b"hello"),
    ),
    "chunked": (
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            b"9\r\ndata: a\n\n\r\nA\r\ndata: bc\n\n\r\n0\r\n\r\n"
        ),
        Told(200, "text/event-stream", b"data: a\n\ndata: bc\n\n"),
    ),
    "extensions and trailers": (
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
            b'3;a=b;c="d"\r\nabc\r\n0\r\nx-sum: 1\r\nempty:\r\n\r\n'
        ),
        Told(200, "", b"abc"),
    ),
    "interim answers": (
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\ncontent-type: text/x\r\n\r\n"
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        ),
        Told(200, "", b"ok"),
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\ncontent-type: a/b\r\n\r\n", Told(204, "a/b", b"")),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Told(304, "", b"")),
    "a redirect": (b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", Told(302, "", b"")),
    "an error": (b"HTTP/1.1 503 \r\ncontent-length: 2\r\nretry-after: 7\r\n\r\nno", Told(503, "", b"no")),
    "a coded body": (
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00",
        Told(200, "", b"\x1f\x8b\x08\x00"),
    ),
    "spaces after a size": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2  \r\nok\r\n0  \r\n\r\n",
        Told(200, "", b"ok"),
    ),
}
"""Sound answers, after each of which the connection serves the next request."""

ENDED_BY_CLOSING = {
    "no length": (b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\n\r\nhello", Told(200, "a/b", b"hello")),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", Told(200, "", b"hello")),
    "connection: close": (
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        Told(200, "", b"ok"),
    ),
}
"""After which the server closes the connection."""

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"transfer-encoding: chunked\r\n"
BROKEN = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "half a body": _OK + b"content-length: 10\r\n\r\nhello",
    "half a chunk": _CHUNKED + b"\r\n5\r\nab",
    "no last chunk": _CHUNKED + b"\r\n2\r\nab\r\n",
    "half of the trailers": _CHUNKED + b"\r\n2\r\nab\r\n0\r\nx: y\r\n",
    "only an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no HTTP": b"what the model said\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a length and chunks": _CHUNKED + b"content-length: 2\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "chunks and a length": _OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "two lengths": _OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc",
    "a negative length": _OK + b"content-length: -2\r\n\r\nab",
    "a length that is no number": _OK + b"content-length: 2x\r\n\r\nab",
    "a size that is no number": _CHUNKED + b"\r\nwhat\r\nab\r\n0\r\n\r\n",
    "an endless size": _CHUNKED + b"\r\nfffffffffffffffffff\r\nab",
    "a longer chunk than it says": _CHUNKED + b"\r\n2\r\nabc\r\n0\r\n\r\n",
    "a name with a control character": _OK + b"a\x01b: c\r\ncontent-length: 2\r\n\r\nab",
    "a zero in a value": _OK + b"a: b\x00c\r\ncontent-length: 2\r\n\r\nab",
    "a status of two digits": b"HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nab",
}
"""What is no answer; the server keeps the connection open, or closes it where nothing else tells."""
