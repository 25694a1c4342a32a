"""Programs that a test starts, asks for their port, and ends."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def fake_upstream() -> Iterator[str]:
    """A running `tests.support.fake_upstream`; its base URL."""
    command = [sys.executable, "-m", "tests.support.fake_upstream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
