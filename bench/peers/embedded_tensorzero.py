"""Runs in TensorZero's environment: `python embedded_tensorzero.py CONFIG PORT_FILE`, until it is ended.

The package starts an HTTP server inside of the process, for clients that are patched to ask it, on a port of its own
choice.
"""

import importlib
import signal
import sys
from pathlib import Path

start = vars(importlib.import_module("tensorzero.tensorzero"))["_start_http_gateway"]
gateway = start(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
unfinished = Path(f"{sys.argv[2]}.new")
unfinished.write_text(gateway.base_url.removeprefix("http://127.0.0.1:").partition("/")[0])
unfinished.replace(sys.argv[2])
signal.pause()
