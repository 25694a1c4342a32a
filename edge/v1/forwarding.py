"""Makes the request that a candidate gets: its body, its address, and who translates its answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge.dialects import translators
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Model
from edge.upstream.adapters import extra_fields, target
from edge.upstream.candidates import Candidate
from edge.v1.bounds import Bounds
from edge.v1.endpoints import Endpoint, Question
from edge.v1.envelope import Envelope, splice
from edge.v1.exchange import Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """One request, for whichever candidate is asked."""

    endpoint: Endpoint
    question: Question
    caller: Caller
    request_id: str
    bounds: Mapping[str, Bounds]
    """By public name, of every model that may answer."""
    held_nanos: int
    streamed: bool

    def limit(self, model: Model) -> int:
        """Output tokens of each answer that the money pays for at the model's price."""
        return self.bounds[model.public_name].affordable_limit(model, self.held_nanos)

    def prepare(self, candidate: Candidate) -> Outgoing:
        """The request for one of the usable candidates."""
        endpoint, question = self.endpoint, self.question
        native = question.native if endpoint.dialect in candidate.upstream.dialects else None
        envelope = native or question.envelope
        limit = self.limit(candidate.model)
        changes = self._changes(candidate, limit, is_native=native is not None)
        changes |= extra_fields(candidate.upstream, self.request_id, envelope.raw)
        path = endpoint.path if native else endpoint.forwards or endpoint.path
        return Outgoing(
            candidate=candidate,
            target=target(candidate.upstream, candidate.route, path, caller=self.caller, request_id=self.request_id),
            body=splice(envelope, changes),
            bounds=replace(self.bounds[candidate.model.public_name], limit_tokens=limit),
            translator=self._translator(candidate, is_native=native is not None),
        )

    def _changes(self, candidate: Candidate, limit: int, *, is_native: bool) -> dict[str, bytes]:
        """The JSON values that differ from what the caller sent."""
        changes = {"model": json.dumps(candidate.route.upstream_model).encode()}
        if is_native:
            changes["max_output_tokens" if self.endpoint.dialect == "responses" else "max_tokens"] = b"%d" % limit
            return changes
        if self.endpoint.kind == "chat":
            given = [name for name in ("max_tokens", "max_completion_tokens") if self._is_given(name)]
            changes |= dict.fromkeys(given or ["max_tokens"], b"%d" % limit)
        if self.streamed:
            changes["stream_options"] = b'{"include_usage":true}'
        return changes
