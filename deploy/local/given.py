"""Waits for the servers that the settings name in the place of embedded ones."""

import asyncio
import time
from collections.abc import Callable

from deploy.local.process import StackError
from deploy.local.settings import StackSettings
from deploy.local.terminal import Patience

AGAIN_S = 0.25


def wait_for_given(settings: StackSettings, *, check: Callable[[], None]) -> None:
    """Returns when they take connections; StackError, saying what is missing, where they do not in time.

    `check` is called meanwhile, and ends the wait by raising.
    """
    if not (settings.database_url or settings.redis_url):
        return
    # Imported here, since the embedded parts do without it.
    from kit import starting  # noqa: PLC0415

    needs = [starting.postgres(settings.database_url)] if settings.database_url else []
    needs += [starting.valkey(settings.redis_url)] if settings.redis_url else []
    begin = time.monotonic()
    for need in needs:
        patience = Patience(need.what)
        try:
            while missing := asyncio.run(starting.lacks(need)):
                check()
                patience.note()
                if time.monotonic() - begin > settings.start_within_s:
                    raise StackError(f"Gave up after {time.monotonic() - begin:.0f} s: {need.what} {missing}")
                time.sleep(AGAIN_S)
        except starting.Refused as error:
            raise StackError(str(error)) from None
