"""Which links to content pass: an upstream opens them, from a place where more can be reached than from outside."""

import ipaddress
import re
import socket
from typing import Final

from edge.errors import EdgeError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Whoever reads a URL otherwise (user names, backslashes, escapes, dots of other scripts) finds another host in it.
_WEB = re.compile(r"https?://(?:([a-z0-9._-]+)|\[([0-9a-f:.]+)\])(?::([0-9]{1,5}))?(?:[/?#]|$)", re.IGNORECASE)
_DOMAIN = re.compile(r".+\.[a-z][a-z0-9-]*")
_PRIVATE: Final = (".localhost", ".local", ".internal", ".localdomain", ".home.arpa")


def check_image(url: str, param: str) -> None:
    """EdgeError `invalid_body` where the link of an image neither holds one nor leads to the open web.

    A name that leads to an address within can't be told by itself; that is for the network of the upstream to refuse.
    """
    if url[:11].casefold() == "data:image/":
        return
    if _CONTROL.search(url) is None and _is_web(url):
        return
    raise EdgeError(
        "invalid_body",
        f"The link of an image ({param}) must be a data: URL of one, or http(s) to a public host.",
        param=param,
    )


def check_data(data: str, param: str) -> None:
    """EdgeError `invalid_body` where what should be base64, or a data: URL, is another URL."""
    if data[:5] != "data:" and ":" in data:
        raise EdgeError(
            "invalid_body", f"What {param} holds must be base64 or a data: URL, not another URL.", param=param
        )


def _is_web(url: str) -> bool:
    found = _WEB.match(url)
    if found is None or int(found[3] or 0) > 65535:
        return False
    host = (found[1] or found[2]).casefold().removesuffix(".")
    try:
        # As the C library reads it, which takes 127.1, 0x7f000001 and 2130706433 for addresses.
        address = ipaddress.ip_address(found[2] or socket.inet_ntoa(socket.inet_aton(host)))
    except (ValueError, OSError):
        return found[2] is None and _DOMAIN.fullmatch(host) is not None and not host.endswith(_PRIVATE)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_global and not address.is_multicast
