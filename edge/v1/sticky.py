"""What requests have in common that should meet the same upstream, for the sake of its prompt cache."""

from typing import Final

from edge.v1.envelope import Envelope

PREFIX_BYTES: Final = 1024
"""Of the conversation: conversations that share a long system prompt begin alike."""
_MAX_USER_BYTES: Final = 256
_PROMPTS: Final = ("messages", "prompt", "input")


def sticky_key(sticky: str, envelope: Envelope) -> str:
    """The key by which a model's requests are kept together; empty where they are not, or where it is not given."""
    if not sticky:
        return ""
    names, most = (("user",), _MAX_USER_BYTES) if sticky == "user" else (_PROMPTS, PREFIX_BYTES)
    for name in names:
        if name in envelope.raw:
            return bytes(memoryview(envelope.raw[name])[:most]).decode("utf-8", "replace")
    return ""
