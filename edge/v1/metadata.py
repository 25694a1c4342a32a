"""Holds a request's `metadata` to OpenAI's rule on every route, so that it can carry notes and steer nothing.

LiteLLM reads lists and objects inside it (tags that choose a deployment, guardrails, budgets), and some texts: hosts
and credentials of watchers.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from edge.errors import EdgeError
from edge.v1.denied import refuse_denied_within

MOST_NAMES: Final = 16
MOST_NAME_CHARS: Final = 64
MOST_VALUE_CHARS: Final = 512

_decode = msgspec.json.Decoder(dict[str, str] | None).decode


def check_metadata(raw: Mapping[str, msgspec.Raw]) -> None:
    """EdgeError `invalid_body` where there is metadata and it is no object of a few short texts, or steers."""
    given = raw.get("metadata")
    if given is None:
        return
    try:
        metadata = _decode(given) or {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _refusal() from None
    is_long = any(len(name) > MOST_NAME_CHARS or len(value) > MOST_VALUE_CHARS for name, value in metadata.items())
    if is_long or len(metadata) > MOST_NAMES:
        raise _refusal()
    refuse_denied_within("metadata", metadata)


def _refusal() -> EdgeError:
    return EdgeError(
        "invalid_body",
        f"'metadata' must be an object of at most {MOST_NAMES} texts: names of up to {MOST_NAME_CHARS} and values of "
        f"up to {MOST_VALUE_CHARS} characters.",
        param="metadata",
    )
