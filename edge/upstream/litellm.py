"""What is special about LiteLLM: the fields that it reads beside OpenAI's, and refusals that are for the operator."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

REQUEST_ID: Final = "privaterouter_request_id"
"""The name of our request id in LiteLLM's logs and spend records."""

# Here a request's `metadata` is the provider's business, and LiteLLM reads its own under another name:
# LITELLM_METADATA_ROUTES in litellm/proxy/litellm_pre_call_utils.py.
_OWN_METADATA: Final = ("/responses", "/messages", "/messages/count_tokens")
# The largest that the check of /v1 lets pass is below; a longer one is not ours to copy.
_MAX_METADATA_BYTES: Final = 64 * 1024
_BEFORE: Final = re.compile(r"^(?:litellm\.\w+: )*(?:\w+Exception - )?")
_BEHIND: Final = re.compile(
    r"\s*(?:model=\S+\s+)?(?:context_window_fallbacks=|Set 'context_window_fallback'|Received Model Group=|"
    r"LiteLLM: model group |Available Model Group Fallbacks=|LiteLLM Retried:).*",
    re.DOTALL,
)
_NAMES_NO_MODEL: Final = "Invalid model name passed in"


def extra_fields(request_id: str, raw: Mapping[str, msgspec.Raw], *, path: str) -> dict[str, bytes]:
    """The JSON values to add: no retries, which are the edge's matter, and our request id beside the metadata given."""
    ours = f'"{REQUEST_ID}":"{request_id}"}}'.encode()
    if path in _OWN_METADATA:
        return {"num_retries": b"0", "litellm_metadata": b"{" + ours}
    given = bytes(raw.get("metadata", b"")).strip()
    if given in {b"", b"null"}:
        return {"num_retries": b"0", "metadata": b"{" + ours}
    if not given.startswith(b"{") or len(given) > _MAX_METADATA_BYTES:
        return {"num_retries": b"0"}
    # At its end, since the last of two equal names counts.
    kept = given[:-1].rstrip()
    return {"num_retries": b"0", "metadata": kept + (b"" if kept == b"{" else b",") + ours}


def cause(message: str) -> str:
    """What a message says of the request itself, without what LiteLLM adds of its own names, fall-backs and groups.

    https://docs.litellm.ai/docs/exception_mapping
    """
    return _BEFORE.sub("", _BEHIND.sub("", message)).strip() or message


def code(message: str) -> str | None:
    """OpenAI's code, where LiteLLM tells it by the name of its exception only."""
    return "context_length_exceeded" if "ContextWindowExceededError" in message else None


def misconfigured(status: int, *, error_type: str, message: str) -> str:
    """Why it is the operator's turn, for the log, where LiteLLM blames the caller for that; else empty.

    https://docs.litellm.ai/docs/exception_mapping
    """
    if error_type == "no_db_connection":
        return "LiteLLM has no database, and does not know the credential that it was sent"
    if error_type == "budget_exceeded":
        return "the budget at LiteLLM is used up, which is meant as a backstop only"
    if status in {400, 404} and _NAMES_NO_MODEL in message:
        return "LiteLLM has no model of this name in its model_list"
    return ""
