"""A catalogue of upstreams and models for tests, and a clock that only tests move."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from edge.lookup.catalogue import Model, Price, Route, Snapshot, Upstream
from edge.upstream.candidates import Candidate
from edge.upstream.members import Member
from edge.upstream.slots import Slots

PRICE = Price("price-1", 100_000_000, 50_000_000, 300_000_000)


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def upstream(name: str, **changes: Any) -> Upstream:
    return Upstream(**{"name": name, "kind": "openai", "base_url": f"http://{name}", "credential": "secret"} | changes)


def route(name: str, *, weight: int = 1, position: int = 0, upstream_model: str = "hidden:latest") -> Route:
    return Route(name, upstream_model, weight, position)


def model(
    name: str, *routes: Route, kind: str = "chat", fallback_models: Sequence[str] = (), sticky: str = ""
) -> Model:
    return Model(
        id=name,
        public_name=name,
        family="test",
        kind=kind,
        context_tokens=8192,
        max_output_tokens=1000,
        dimensions=0,
        template_tokens=10,
        tools_tokens=100,
        image_tokens=1000,
        price=PRICE,
        routes=routes,
        create_time=datetime(2026, 1, 1, tzinfo=UTC),
        upstream_model="hidden:latest",
        fallback_models=tuple(fallback_models),
        sticky=sticky,
    )


def snapshot(models: Sequence[Model], upstreams: Sequence[Upstream], *, version: int = 1) -> Snapshot:
    return Snapshot(version, {one.public_name: one for one in models}, {}, {one.name: one for one in upstreams})


def member(name: str = "a", *, clock: Clock | None = None, **changes: Any) -> Member:
    made, clock = upstream(name, **changes), clock or Clock()
    return Member(made, Slots(made.max_in_flight, made.max_queued, clock), clock())


def names(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.upstream.name for candidate in candidates]
