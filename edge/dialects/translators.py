"""Chooses who stands between an upstream and a client."""

from edge.dialects.chat import ChatTranslator
from edge.dialects.messages_answer import MessagesOverChat
from edge.dialects.messages_native import MessagesNative
from edge.dialects.responses_answer import ResponsesOverChat
from edge.dialects.responses_native import ResponsesNative
from edge.dialects.translator import About, Translator


def make_translator(about: About, *, dialect: str, is_native: bool, body: bytes) -> Translator:
    """The translator for a request of `dialect`: "responses" or "messages".

    `body` is the request as the client sent it; `is_native` says that the upstream got it so.
    """
    if dialect == "responses":
        return ResponsesNative(about) if is_native else ResponsesOverChat(about, body)
    return MessagesNative(about) if is_native else MessagesOverChat(about, body)


def make_chat_translator(about: About, *, is_chat: bool, shows_usage: bool) -> Translator:
    """The translator for chat completions, and for completions and embeddings (`is_chat` is false)."""
    return ChatTranslator(about, is_chat=is_chat, shows_usage=shows_usage)
