"""The operator's command that makes virtual keys at LiteLLM for API keys without one."""

import sys
import time
from collections.abc import Callable

from cli import connect
from cli.connect import Clients
from kit.errors import RemoteError
from privaterouter.auth.v1 import auth_pb2

PROGRESS_EVERY_S = 2.0


def repair_virtual_keys() -> None:
    """Make virtual keys at LiteLLM for the API keys that have none.

    Such keys were made while virtual keys were off; calls with them get 503 upstream_unconfigured. They keep their
    secrets, and work within seconds. Exit status 1 where some have none still: the log of auth says why. Running it
    again is harmless; what was not answered by LiteLLM is tried again after a minute at the earliest.

    For example:
        privaterouter admin repair-virtual-keys
    """

    async def command(clients: Clients) -> tuple[int, int]:
        return await repair_all(clients, now_s=time.monotonic)

    repaired, failed = connect.run(command)
    print(f"{counted(repaired)} got a virtual key." if repaired else "No API key got a virtual key.")
    if failed:
        print(
            f"{counted(failed)} still {'has' if failed == 1 else 'have'} none: LiteLLM refused or did not answer "
            "(the log of auth says more). Run the same again in a minute.",
            file=sys.stderr,
        )
        raise SystemExit(1)


async def repair_all(clients: Clients, *, now_s: Callable[[], float]) -> tuple[int, int]:
    """Repairs page by page and says now and then how far it is; how many got a virtual key, and how many did not."""
    repaired = failed = 0
    told_s = now_s()
    request = auth_pb2.RepairVirtualKeysRequest()
    while True:
        try:
            answer = await clients.auth.RepairVirtualKeys(request)
        except RemoteError:
            if repaired:
                print(f"Stopped after {counted(repaired)}. Run the same again.", file=sys.stderr)
            raise
        repaired += answer.repaired_count
        failed += answer.failed_count
        if not answer.next_after_api_key_id:
            return repaired, failed
        request.after_api_key_id = answer.next_after_api_key_id
        if now_s() - told_s >= PROGRESS_EVERY_S:
            told_s = now_s()
            print(f"{counted(repaired + failed)} so far ...", file=sys.stderr, flush=True)


def counted(keys: int) -> str:
    """A number of API keys in words."""
    return f"{keys:,} API key{'' if keys == 1 else 's'}"
