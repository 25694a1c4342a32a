"""Keeps the looks at upstreams up to date with every probe, and tells the log what an operator has to mend."""

from collections.abc import Callable, Iterable

from edge.lookup.catalogue import Route, Upstream
from edge.upstream.getter import Get
from edge.upstream.looks import Look, Looks
from edge.upstream.ollama import missing
from edge.upstream.probing import probe
from kit.logs import get_logger
from kit.ollama import pull_command

log = get_logger()


class Watch:
    """The question that the prober asks of each upstream. `routes` gives all routes of the catalogue of now."""

    def __init__(
        self, get: Get, looks: Looks, *, routes: Callable[[], Iterable[Route]], now_s: Callable[[], float]
    ) -> None:
        self._get = get
        self._looks = looks
        self._routes = routes
        self._now_s = now_s
        self._told: dict[str, list[str]] = {}
        """What the log was last told of an upstream."""

    async def ask(self, upstream: Upstream) -> bool:
        """Whether it is alive. Never raises what the upstream causes."""
        look = await probe(upstream, self._get)
        self._looks.note(upstream.name, look, now_s=self._now_s())
        self._tell(upstream.name, look)
        return look.healthy

    def forget_others(self, upstream_names: Iterable[str]) -> None:
        """Keeps what is known of these upstreams only."""
        names = set(upstream_names)
        self._looks.forget_others(names)
        self._told = {name: told for name, told in self._told.items() if name in names}

    def _tell(self, name: str, look: Look) -> None:
        """One line when something has changed, not one for each probe."""
        lacking = missing(name, look, routes=self._routes())
        news = lacking if look.healthy else [look.why]
        if news == self._told.get(name, []):
            return
        self._told[name] = news
        if not look.healthy:
            log.warning("upstream_probe_failed", upstream=name, why=look.why)
        elif lacking:
            log.warning("upstream_models_missing", upstream=name, mend=[pull_command(model) for model in lacking])
        else:
            log.info("upstream_complete", upstream=name)
