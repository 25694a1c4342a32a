"""Where a request for a model may go, in the order of preference: its own routes, then those of its fall-backs."""

from collections.abc import Iterator
from dataclasses import dataclass

from edge.errors import EdgeError
from edge.lookup.catalogue import Model, Route, Snapshot, Upstream


# Compared by identity: a list is made once for each version of the catalogue, and values of this size are slow to hash.
@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One place that may answer, and the model that answers there."""

    model: Model
    route: Route
    upstream: Upstream


def candidates(model: Model, snapshot: Snapshot) -> tuple[Candidate, ...]:
    """All places for a request: by model (the asked one first), then by position.

    EdgeError `upstream_unavailable` where neither the model nor a fall-back has a route to a known upstream.
    """
    found = tuple(
        Candidate(one, route, snapshot.upstreams[route.upstream_name])
        for one in (model, *_fallbacks(model, snapshot))
        for route in sorted(one.routes, key=lambda route: route.position)
        if route.upstream_name in snapshot.upstreams
    )
    if not found:
        raise EdgeError("upstream_unavailable", f"No server is set up for the model {model.public_name!r}.")
    return found


def _fallbacks(model: Model, snapshot: Snapshot) -> Iterator[Model]:
    """The models that stand in for this one; their own fall-backs do not, or a chain could lead anywhere.

    The caller's plan is not asked: the operator chose them for this model, and whoever may use it may have what stands
    in for it.
    """
    seen = {model.public_name}
    for name in model.fallback_models:
        fallback = snapshot.models.get(name)
        if fallback is not None and fallback.kind == model.kind and name not in seen:
            seen.add(name)
            yield fallback
