"""Every test of this folder runs on asyncio's loop and on the one that serves."""

from tests.support.loops import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
