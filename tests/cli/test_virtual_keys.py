"""Repairing virtual keys from the command line: every page, what is said, and the exit status."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

import grpc
import pytest

from cli import connect
from cli.connect import Clients
from cli.virtual_keys import repair_all, repair_virtual_keys
from kit.errors import RemoteError
from privaterouter.auth.v1 import auth_pb2 as pb
from tests.support.stack import RunningStack


@dataclass
class FakeAuth:
    """Answers one page after another, then fails if told to."""

    pages: list[pb.RepairVirtualKeysResponse]
    asked_after: list[str] = field(default_factory=list)

    async def RepairVirtualKeys(self, request: pb.RepairVirtualKeysRequest) -> pb.RepairVirtualKeysResponse:
        self.asked_after.append(request.after_api_key_id)
        if not self.pages:
            raise RemoteError(grpc.StatusCode.UNAVAILABLE, "gone")
        return self.pages.pop(0)

    @property
    def clients(self) -> Clients:
        nobody: Any = None
        return Clients(auth=cast("Any", self), catalog=nobody, billing=nobody, usage=nobody)


def page(repaired: int, failed: int = 0, after: str = "") -> pb.RepairVirtualKeysResponse:
    return pb.RepairVirtualKeysResponse(repaired_count=repaired, failed_count=failed, next_after_api_key_id=after)


def ticking(step_s: float) -> Iterator[float]:
    return count(0.0, step_s)


async def test_every_page_is_asked_for_and_progress_is_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    auth = FakeAuth([page(19, 1, "a"), page(20, 0, "b"), page(3)])
    seconds = ticking(1.5)
    assert await repair_all(auth.clients, now_s=lambda: next(seconds)) == (42, 1)
    assert auth.asked_after == ["", "a", "b"]
    assert capsys.readouterr().err == "40 API keys so far ...\n"


async def test_what_was_done_before_a_failure_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RemoteError):
        await repair_all(FakeAuth([page(1, 0, "a")]).clients, now_s=lambda: 0.0)
    assert capsys.readouterr().err == "Stopped after 1 API key. Run the same again.\n"


@pytest.mark.parametrize(
    "result, out, err",
    [
        ((0, 0), "No API key got a virtual key.\n", ""),
        ((1, 0), "1 API key got a virtual key.\n", ""),
        ((1200, 0), "1,200 API keys got a virtual key.\n", ""),
        ((2, 1), "2 API keys got a virtual key.\n", "1 API key still has none: LiteLLM refused"),
        ((0, 2), "No API key got a virtual key.\n", "2 API keys still have none: LiteLLM refused"),
    ],
)
def test_the_result_is_a_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    result: tuple[int, int],
    out: str,
    err: str,
) -> None:
    monkeypatch.setattr(connect, "run", lambda command: result)
    ended = 0
    try:
        repair_virtual_keys()
    except SystemExit as exit_:
        ended = int(str(exit_.code))
    said = capsys.readouterr()
    assert (ended, said.out) == (1 if err else 0, out)
    assert said.err.startswith(err)
    assert bool(said.err) == bool(err)


def test_a_stack_without_virtual_keys_says_how_to_have_them(stack: RunningStack) -> None:
    refused = stack.command("admin", "repair-virtual-keys")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "Auth makes no virtual keys: set LITELLM_VIRTUAL_KEYS=true for it.\n"
