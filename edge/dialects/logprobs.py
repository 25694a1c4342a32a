"""The logprobs of a chat choice as a response has them: each with its bytes, which chat may leave out."""

import msgspec


class _Token(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _Alternatives(_Token):
    top_logprobs: list[_Token] = []


class _Logprobs(msgspec.Struct):
    content: list[_Alternatives] | None = None


_decode = msgspec.json.Decoder(_Logprobs).decode


def read_logprobs(raw: msgspec.Raw) -> list[object]:
    """One for each token; none where the upstream gives none."""
    try:
        said = _decode(raw).content or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    for token in said:
        _fill(token)
        for other in token.top_logprobs:
            _fill(other)
    return list(said)


def _fill(token: _Token) -> None:
    if token.bytes is None:
        token.bytes = list(token.token.encode("utf-8", "surrogatepass"))
