"""How a field that can't be had here is refused: by name, and with what to do instead."""

from collections.abc import Iterable
from typing import Final

from edge.errors import EdgeError

CHAT_ONLY: Final = frozenset(
    {
        "audio", "best_of", "function_call", "functions", "logprobs", "max_completion_tokens", "max_output_tokens",
        "max_tokens", "messages", "modalities", "n", "prediction", "reasoning_effort", "response_format", "stop",
        "suffix", "verbosity", "web_search_options",
    }
)  # fmt: skip
"""Fields that chat completions have and another dialect has not, or calls otherwise: they would go round its rules."""


def refused(param: str, why: str) -> EdgeError:
    """The refusal of the field `param`; `why` is a sentence."""
    return EdgeError("invalid_body", why, param=param)


def not_supported(param: str, instead: str = "Leave it out.") -> EdgeError:
    """The refusal of a field that has no counterpart here."""
    return refused(param, f"The field {param!r} is not supported here. {instead}")


def by_reference(param: str) -> EdgeError:
    """The refusal of content that is only named: what it costs can't be known beforehand, and it is not ours."""
    return refused(
        param, f"Content given by reference ({param}) is not supported. Send it inline, as a data: URL or base64."
    )


def refuse_foreign(names: Iterable[str], *, own: frozenset[str], dialect: str) -> None:
    """Refuses the first of `names` that belongs to chat completions and is not among `own`."""
    for name in names:
        if name in CHAT_ONLY and name not in own:
            raise refused(name, f"{name!r} is a field of chat completions, not of {dialect}. Remove it.")
