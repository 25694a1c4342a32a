"""Makes the request that a candidate gets: its body, its address, and who translates its answer."""

import json
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from edge.dialects.responses_native import STATELESS
from edge.dialects.translator import About, Translator
from edge.dialects.translators import make_chat_translator, make_translator
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Model
from edge.upstream.adapters import extra_fields, limit_fields, target
from edge.upstream.candidates import Candidate
from edge.v1.bounds import Bounds
from edge.v1.endpoints import CHAT, RESPONSES, Endpoint, Question
from edge.v1.envelope import splice
from edge.v1.exchange import Outgoing


class Forwarding(msgspec.Struct, frozen=True, kw_only=True):
    """One request, for whichever candidate is asked."""

    endpoint: Endpoint
    question: Question
    caller: Caller
    request_id: str
    bounds: Mapping[str, Bounds]
    """By public name, of every model that may answer."""
    held_nanos: int
    created_s: int
    """When the request came, in seconds since 1970."""
    streamed: bool

    def limit(self, model: Model) -> int:
        """Output tokens of each answer that the money pays for at the model's price."""
        return self.bounds[model.public_name].affordable_limit(model, self.held_nanos)

    def prepare(self, candidate: Candidate) -> Outgoing:
        """The request for one of the usable candidates."""
        endpoint, question = self.endpoint, self.question
        native = question.native if endpoint.dialect in candidate.upstream.dialects else None
        envelope = native or question.envelope
        bounds = replace(self.bounds[candidate.model.public_name], limit_tokens=self.limit(candidate.model))
        changes = self._changes(candidate, bounds, is_native=native is not None)
        path = endpoint.path if native else endpoint.forwards or endpoint.path
        changes |= extra_fields(candidate.upstream, self.request_id, envelope.raw, path=path)
        return Outgoing(
            candidate=candidate,
            target=target(candidate.upstream, candidate.route, path, caller=self.caller, request_id=self.request_id),
            body=splice(envelope, changes),
            bounds=bounds,
            translator=self._translator(candidate, bounds, is_native=native is not None),
        )

    def _translator(self, candidate: Candidate, bounds: Bounds, *, is_native: bool) -> Translator:
        about = About(
            request_id=self.request_id,
            public_name=candidate.model.public_name,
            created_s=self.created_s,
            prompt_estimate=bounds.prompt_estimate,
        )
        endpoint, question = self.endpoint, self.question
        if question.native is not None:
            return make_translator(about, dialect=endpoint.dialect, is_native=is_native, body=question.native.body)
        options = question.inputs.stream_options
        return make_chat_translator(
            about, is_chat=endpoint is CHAT, shows_usage=bool(options and options.include_usage)
        )

    def _changes(self, candidate: Candidate, bounds: Bounds, *, is_native: bool) -> dict[str, bytes]:
        """The JSON values that differ from what the caller sent."""
        changes = {"model": json.dumps(candidate.route.upstream_model).encode()}
        limit = b"%d" % bounds.limit_tokens
        if is_native:
            changes[self.endpoint.limit_field] = limit
            return changes | STATELESS if self.endpoint is RESPONSES else changes
        if bounds.answers:
            inputs = self.question.inputs
            given = [name for name in ("max_tokens", "max_completion_tokens") if getattr(inputs, name) is not None]
            changes |= dict.fromkeys(limit_fields(candidate.upstream, given), limit)
        if self.streamed:
            changes["stream_options"] = b'{"include_usage":true}'
        return changes
