"""What can be known to go wrong before anything is started: ports."""

import errno
import os
import socket

from deploy.local.process import StackError
from deploy.local.settings import StackSettings


def refuse_taken_ports(settings: StackSettings) -> None:
    """Raise StackError naming the variable to change where a port cannot be had."""
    ports = {
        "EDGE_PORT": settings.edge_port,
        "DASHBOARD_PORT": settings.dashboard_port,
        "METRICS_PORT": settings.metrics_port,
    }
    seen: dict[int, str] = {}
    for variable, port in ports.items():
        if port and port in seen:
            raise StackError(f"{seen[port]} and {variable} are both {port}: choose two different ports.")
        seen[port] = variable
        refuse_taken_port(variable, port)


def refuse_taken_port(variable: str, port: int) -> None:
    """The edge would say the same later, and less clearly; a port of 0 is any free one."""
    with socket.socket() as probe:
        # As servers do: a port that only waits for its last connections to fade is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StackError(
                    f"Port {port} is taken by another program. Stop that, or choose another port: "
                    f"{variable}={port + 1} make up"
                ) from error
            raise StackError(f"Port {port} ({variable}) cannot be used: {os.strerror(error.errno or 0)}.") from error
