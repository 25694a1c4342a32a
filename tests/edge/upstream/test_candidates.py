"""Where a request may go, in which order."""

import pytest

from edge.errors import EdgeError
from edge.upstream.candidates import candidates
from tests.edge.upstream.world import model, names, route, snapshot, upstream

UPSTREAMS = [upstream("a"), upstream("b"), upstream("c")]


def test_routes_come_by_position_and_those_to_unknown_upstreams_are_left_out() -> None:
    asked = model("m", route("c", position=2), route("gone"), route("b", position=1), route("a"))
    assert names(candidates(asked, snapshot([asked], UPSTREAMS))) == ["a", "b", "c"]


def test_fall_back_models_follow_in_their_order_and_theirs_do_not() -> None:
    asked = model("m", route("a"), fallback_models=["second", "missing", "vector", "m", "first", "second"])
    others = [
        model("first", route("c")),
        model("second", route("b"), fallback_models=["third"]),
        model("third", route("a")),
        model("vector", route("a"), kind="embedding"),
    ]
    found = candidates(asked, snapshot([asked, *others], UPSTREAMS))
    assert [(one.model.public_name, one.upstream.name) for one in found] == [
        ("m", "a"),
        ("second", "b"),
        ("first", "c"),
    ]


def test_a_fall_back_serves_a_model_without_routes() -> None:
    asked = model("m", fallback_models=["other"])
    found = candidates(asked, snapshot([asked, model("other", route("b"))], UPSTREAMS))
    assert [(one.model.public_name, one.upstream.name) for one in found] == [("other", "b")]


def test_a_model_that_nobody_serves_is_unavailable() -> None:
    asked = model("m", route("gone"), fallback_models=["other"])
    with pytest.raises(EdgeError) as raised:
        candidates(asked, snapshot([asked, model("other")], UPSTREAMS))
    assert (raised.value.code, raised.value.message) == (
        "upstream_unavailable",
        "No server is set up for the model 'm'.",
    )
