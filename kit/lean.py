"""Imports without what a library takes along if it is there, and can do without."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


def hide(*names: str) -> list[str]:
    """Have these modules seem not to be installed from now on; which of them were not imported already, and so do.

    It is Python's own way to say so: None in `sys.modules`. For `__main__`: it holds for the whole process.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden, cast(ModuleType, None)))
    return hidden


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Hides them from what is imported inside, and shows them again. For imports of a main thread alone."""
    hidden = hide(*names)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
