"""Probes keep the looks up to date, and the log hears of changes only."""

from structlog.testing import capture_logs

from edge.lookup.catalogue import Route, Upstream
from edge.upstream.getter import Getter
from edge.upstream.looks import LOADED, MISSING, NOT_LOADED, UNKNOWN, Looks
from edge.upstream.watching import Watch
from tests.support.processes import renewed

GEMMA, LLAMA = Route("gpu1", "gemma4", 1, 0), Route("gpu1", "llama3.3:70b", 1, 0)


async def test_what_is_missing_is_told_once_with_the_command_that_mends_it(ollama_url: str, getter: Getter) -> None:
    looks = Looks()
    watch = Watch(getter, looks, routes=lambda: [GEMMA, LLAMA], now_s=lambda: 0.0)
    upstream = Upstream("gpu1", "ollama", ollama_url, "")
    with capture_logs() as logs:
        assert [await watch.ask(upstream) for _ in range(3)] == [True] * 3
    assert [(one["event"], one["mend"]) for one in logs] == [("upstream_models_missing", ["ollama pull llama3.3:70b"])]
    assert [looks.rank(route) for route in (GEMMA, LLAMA)] == [NOT_LOADED, MISSING]

    installed = [{"name": name, "family": "x", "parameter_size": "1B"} for name in ("gemma4:latest", "llama3.3:70b")]
    renewed(ollama_url, installed=installed, loaded=["llama3.3:70b"])
    with capture_logs() as logs:
        assert [await watch.ask(upstream) for _ in range(2)] == [True] * 2
    assert [one["event"] for one in logs] == ["upstream_complete"]
    assert [looks.rank(route) for route in (GEMMA, LLAMA)] == [NOT_LOADED, LOADED]


async def test_an_upstream_that_is_away_is_told_once_and_forgotten_with_the_catalogue(getter: Getter) -> None:
    looks = Looks()
    watch = Watch(getter, looks, routes=lambda: [GEMMA], now_s=lambda: 0.0)
    upstream = Upstream("gpu1", "ollama", "http://127.0.0.1:1", "")
    with capture_logs() as logs:
        assert [await watch.ask(upstream) for _ in range(3)] == [False] * 3
        assert looks.rank(GEMMA) == UNKNOWN
        watch.forget_others(["gpu2"])
        assert looks.of("gpu1") is None
        await watch.ask(upstream)
    assert [one["event"] for one in logs] == ["upstream_probe_failed"] * 2
