"""What the parts of a chat message may refer to: nothing that is stored, and no place but the open web for an image."""

from collections.abc import Iterable
from typing import Final

import msgspec

from edge.errors import EdgeError
from edge.v1.inputs import ChatInputs, Link, Part
from edge.v1.links import check_data, check_image

_NULL: Final = msgspec.Raw(b"null")
_LINKS: Final = frozenset({"image_url", "video_url", "audio_url"})
# What is looked at, here or by an upstream; some read names without regard to case.
_SPELLED: Final = _LINKS | {"type", "text", "file", "file_id", "file_data", "input_audio", "data", "url", "source"}
# The objects of a part, and whether they are links.
_WITHIN: Final = {**dict.fromkeys(_LINKS, True), "file": False, "input_audio": False, "source": False}


class _Message(msgspec.Struct):
    content: str | list[str | dict[str, msgspec.Raw]] | None = None


class _Conversation(msgspec.Struct):
    messages: list[_Message]


_conversation = msgspec.json.Decoder(_Conversation)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_content(inputs: ChatInputs, body: bytes) -> None:
    """EdgeError `invalid_body` for content that is only referred to: what it costs can't be known beforehand."""
    try:
        _check(inputs, body)
    except RecursionError:
        raise EdgeError("invalid_body", "The request body is nested too deeply.", param="messages") from None


def _check(inputs: ChatInputs, body: bytes) -> None:
    has_parts = False
    for message in inputs.messages:
        if message.audio is not None and message.audio.id:
            raise _reference("audio.id")
        if isinstance(message.content, list):
            has_parts = True
            for part in message.content:
                if isinstance(part, Part):
                    _check_part(part)
    if has_parts:
        for named in _conversation.decode(body).messages:
            for given in named.content if isinstance(named.content, list) else ():
                if isinstance(given, dict):
                    _check_names(given)


def _check_part(part: Part) -> None:
    if part.type != part.type.casefold():
        raise _misspelt(part.type)
    if part.image_url is not None:
        check_image(_url(part.image_url), "messages")
    if part.file_id or (part.file is not None and part.file.file_id):
        raise _reference("file_id")
    for link, name in ((part.video_url, "video_url"), (part.audio_url, "audio_url")):
        if link is not None and not _url(link).startswith("data:"):
            raise _reference(name)
    for data in (part.file and part.file.file_data, part.input_audio and part.input_audio.data):
        if data:
            check_data(data, "messages")


def _check_names(part: dict[str, msgspec.Raw]) -> None:
    _refuse_names(part, links=_LINKS)
    for name, is_link in _WITHIN.items():
        raw = part.get(name, _NULL)
        if bytes(memoryview(raw)[:1]) == b"{":
            _refuse_names(_object.decode(raw), links=frozenset({"url"}) if is_link else frozenset())


def _refuse_names(names: Iterable[str], *, links: frozenset[str]) -> None:
    for name in names:
        folded = name.casefold()
        if folded != name and folded in _SPELLED:
            raise _misspelt(name)
        if folded.endswith(("url", "uri")) and name not in links:
            raise _reference(name[:64])


def _url(link: Link | str) -> str:
    return link if isinstance(link, str) else link.url


def _misspelt(name: str) -> EdgeError:
    return EdgeError("invalid_body", f"{name[:64]!r} must be spelled {name[:64].casefold()!r}.", param="messages")


def _reference(what: str) -> EdgeError:
    return EdgeError(
        "invalid_body",
        f"Content given by reference ({what}) is not supported. Send it inline, as a data: URL or base64.",
        param="messages",
    )
