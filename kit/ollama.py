"""What an Ollama says of its models: the answers of /api/tags, /api/ps and /api/show, read as hostile input.

Shapes by https://github.com/ollama/ollama/blob/main/docs/api.md. Nothing here talks to a server: whoever does bounds
what it reads by MAX_BODY_BYTES. Entries that make no sense are left out, and texts are cut to what a terminal can show.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""A thousand models are half a megabyte; the longest licence and template of one are some dozens of kilobytes."""
MAX_MODELS: Final = 2000
MAX_TOKENS: Final = 2**31 - 1
_MAX_TEXT: Final = 64
_REGISTRIES: Final = ("registry.ollama.ai/", "library/")
# [host[:port]/][namespace/]model[:tag], https://github.com/ollama/ollama/blob/main/docs/api.md#model-names
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")
_NUM_CTX: Final = re.compile(r"^num_ctx\s+([1-9]\d{0,9})\s*$", re.MULTILINE)


class NoOllama(ValueError):
    """What answered is no Ollama, or not one that we understand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A model that an Ollama has. Texts are empty where it does not tell."""

    name: str
    """As it is called there, such as `qwen3:0.6b`."""
    size_bytes: int = 0
    family: str = ""
    parameter_size: str = ""
    quantisation: str = ""
    is_remote: bool = False
    """Whether it runs elsewhere, so that it is never loaded here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What an Ollama tells of one model. 0: it does not tell."""

    context_tokens: int = 0
    """The `num_ctx` of its Modelfile where it has one, else what the model was made for."""
    dimensions: int = 0
    """Size of its embeddings."""
    capabilities: frozenset[str] = field(default_factory=frozenset)
    """`completion`, `embedding`, `tools`, `vision`, `thinking` and the like."""


class _Details(msgspec.Struct):
    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None


class _Entry(msgspec.Struct):
    name: str | None = None
    model: str | None = None
    size: int | None = None
    remote_host: str | None = None
    details: _Details | None = None


class _List(msgspec.Struct):
    models: list[msgspec.Raw] | None


class _Show(msgspec.Struct):
    model_info: dict[str, msgspec.Raw] | None = None
    parameters: str | None = None
    capabilities: list[str] | None = None


@lru_cache(maxsize=1024)
def canonical(name: str) -> str:
    """The one way of writing a model's name by which names are compared.

    `qwen3`, `qwen3:latest` and `registry.ollama.ai/library/Qwen3` are one model.
    """
    for prefix in _REGISTRIES:
        name = name.removeprefix(prefix)
    name = name.lower()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def short(name: str) -> str:
    """The name as people write it: without `:latest` and without the registry that is meant anyway."""
    for prefix in _REGISTRIES:
        name = name.removeprefix(prefix)
    return name.removesuffix(":latest")


def pull_command(name: str) -> str:
    """What mends a missing model, to be typed on the Ollama's host."""
    return f"ollama pull {shlex.quote(name)}"


def read_tags(body: bytes) -> tuple[Installed, ...]:
    """The models in an answer of /api/tags, in its order. Raises NoOllama."""
    return tuple(_installed(name, entry) for name, entry in _entries(body))


def read_ps(body: bytes) -> frozenset[str]:
    """The canonical names of the models in an answer of /api/ps: in memory, or on their way there. Raises NoOllama."""
    return frozenset(canonical(name) for name, _ in _entries(body))


def read_show(body: bytes) -> Shown:
    """What an answer of /api/show says. Raises NoOllama."""
    said = _decoded(body, _Show)
    info = said.model_info or {}
    architecture = _value(info.get("general.architecture"), str) or ""
    own = _NUM_CTX.search(said.parameters or "")
    return Shown(
        context_tokens=_tokens(int(own[1])) if own else _size(info, architecture, "context_length"),
        dimensions=_size(info, architecture, "embedding_length"),
        # Ollamas before 0.6.4 do not tell; those that embed are all BERTs then.
        capabilities=frozenset(_text(one) for one in said.capabilities[:32])
        if said.capabilities is not None
        else frozenset({"embedding" if "bert" in architecture else "completion"}),
    )


def _entries(body: bytes) -> list[tuple[str, _Entry]]:
    """The entries that have a sound name, at most MAX_MODELS."""
    entries = []
    for raw in (_decoded(body, _List).models or ())[:MAX_MODELS]:
        try:
            entry = msgspec.json.decode(raw, type=_Entry)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        name = entry.model or entry.name or ""
        if _NAME.fullmatch(name):
            entries.append((name, entry))
    return entries


def _installed(name: str, entry: _Entry) -> Installed:
    details = entry.details or _Details()
    return Installed(
        name=name,
        size_bytes=max(0, entry.size or 0),
        family=_text(details.family),
        parameter_size=_text(details.parameter_size),
        quantisation=_text(details.quantization_level),
        is_remote=bool(entry.remote_host),
    )


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NoOllama(f"not an answer of Ollama: {error}"[:200]) from None


def _size(info: dict[str, msgspec.Raw], architecture: str, what: str) -> int:
    """`<architecture>.<what>`, else the least that any part of the model says."""
    key = f"{architecture}.{what}"
    keys: Sequence[str] = [key] if key in info else [one for one in info if one.endswith(f".{what}")]
    return min(filter(None, (_tokens(_value(info[one], int)) for one in keys)), default=0)


def _tokens(said: int | None) -> int:
    return said if said is not None and 1 <= said <= MAX_TOKENS else 0


def _value(raw: msgspec.Raw | None, kind: type[T]) -> T | None:
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _text(said: str | None) -> str:
    return "".join(letter for letter in (said or "")[:_MAX_TEXT] if letter.isprintable())
