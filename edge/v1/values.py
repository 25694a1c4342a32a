"""Fields that pass in some of their values only: the others cost or keep more than is billed, or break a server."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from edge.errors import EdgeError

_TEMPLATE: Final = "chat_template_kwargs"
# Parameters of `apply_chat_template` itself (transformers): vLLM and SGLang hand it these beside the template's own.
_NOT_FOR_TEMPLATES: Final = frozenset(
    {
        "chat_template", "conversation", "documents", "max_length", "padding", "return_assistant_tokens_mask",
        "return_dict", "return_tensors", "tokenize", "tokenizer_kwargs", "tools", "truncation",
    }
)  # fmt: skip
_decode_flags = msgspec.json.Decoder(dict[str, str | bool | int | float | None] | None).decode
# The last is Anthropic's word for the ordinary tier.
_decode_tier = msgspec.json.Decoder(Literal["auto", "default", "standard_only"] | None).decode


def check_values(raw: Mapping[str, msgspec.Raw]) -> None:
    """EdgeError `invalid_body` where a top-level field has a value that can't be had here."""
    if "service_tier" in raw:
        _check_tier(raw["service_tier"])
    if "store" in raw and bytes(raw["store"]) not in {b"null", b"false"}:
        raise EdgeError("invalid_body", "Nothing is stored here. Leave 'store' out, or send false.", param="store")
    if _TEMPLATE in raw:
        _check_template(raw[_TEMPLATE])


def _check_tier(raw: msgspec.Raw) -> None:
    try:
        _decode_tier(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise EdgeError(
            "invalid_body",
            "Other tiers have other prices. Leave 'service_tier' out, or send 'auto' or 'default'.",
            param="service_tier",
        ) from None


def _check_template(raw: msgspec.Raw) -> None:
    try:
        flags = _decode_flags(raw) or {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise EdgeError(
            "invalid_body", f"{_TEMPLATE!r} must be an object of flags, numbers and texts.", param=_TEMPLATE
        ) from None
    for name in flags:
        if name.casefold() in _NOT_FOR_TEMPLATES:
            raise EdgeError(
                "invalid_body", f"The field '{_TEMPLATE}.{name[:64]}' is not accepted here. Remove it.", param=_TEMPLATE
            )
