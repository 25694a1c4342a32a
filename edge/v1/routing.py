"""Chooses where a request goes: among a model's routes of the first position, by weight."""

from collections.abc import Callable

from edge.errors import EdgeError
from edge.lookup.catalogue import Model, Route, Snapshot, Upstream


def choose_route(model: Model, snapshot: Snapshot, random: Callable[[], float]) -> tuple[Upstream, Route]:
    """The upstream and route for one request; `random` gives numbers in [0, 1).

    EdgeError `upstream_unavailable` where the model has no route to a known upstream.
    """
    routes = [route for route in model.routes if route.upstream_name in snapshot.upstreams]
    if not routes:
        raise EdgeError("upstream_unavailable", f"No server is set up for the model {model.public_name!r}.")
    first = [route for route in routes if route.position == routes[0].position]
    at = random() * sum(route.weight for route in first)
    for route in first:
        at -= route.weight
        if at < 0:
            return snapshot.upstreams[route.upstream_name], route
    return snapshot.upstreams[first[-1].upstream_name], first[-1]
