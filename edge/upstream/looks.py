"""What the latest probes saw: who is alive, which models an upstream has, and which of them are loaded."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from edge.lookup.catalogue import Route
from kit.ollama import canonical

LOAD_S: Final = 900.0
"""How long a model may take to load: 40 GB from a hard disk of 50 MB/s."""

LOADED, UNKNOWN, NOT_LOADED, MISSING = range(4)
"""Ranks of `Looks.rank`; the lower is the better."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one probe of an upstream saw."""

    healthy: bool
    models: frozenset[str] | None = None
    """Canonical names of the models that it has. None: it does not tell."""
    loaded: frozenset[str] = frozenset()
    """Those of them that are in memory, or on their way there."""
    why: str = ""
    """Why it is not healthy, for the log."""


class Looks:
    """The latest look at each upstream. What is asked for each request is a look into two dictionaries.

    A loading model is in /api/ps before it can answer. So one that was seen missing there counts as loading for LOAD_S,
    or until it answers.
    """

    def __init__(self, *, load_s: float = LOAD_S) -> None:
        self._load_s = load_s
        self._looks: dict[str, Look] = {}
        self._unloaded_s: dict[tuple[str, str], float] = {}

    def note(self, upstream_name: str, look: Look, *, now_s: float) -> None:
        """Takes in what a probe saw. One that failed says nothing about models: what was known of them stays."""
        known = self._looks.get(upstream_name)
        if not look.healthy and known is not None:
            look = replace(look, models=known.models, loaded=known.loaded)
        self._looks[upstream_name] = look
        for model in (look.models or frozenset()) - look.loaded if look.healthy else ():
            self._unloaded_s[upstream_name, model] = now_s
        # Both stay as small as what there is.
        for key, seen_s in tuple(self._unloaded_s.items()):
            if now_s - seen_s > self._load_s:
                del self._unloaded_s[key]

    def note_answer(self, route: Route) -> None:
        """A first byte has come: whatever the looks said, the model is loaded now."""
        if self._unloaded_s:
            self._unloaded_s.pop((route.upstream_name, canonical(route.upstream_model)), None)

    def forget_others(self, upstream_names: Collection[str]) -> None:
        """Keeps what is known of these upstreams only."""
        for name in self._looks.keys() - set(upstream_names):
            del self._looks[name]
        for key in tuple(self._unloaded_s):
            if key[0] not in self._looks:
                del self._unloaded_s[key]

    def of(self, upstream_name: str) -> Look | None:
        """The latest look at an upstream."""
        return self._looks.get(upstream_name)

    def rank(self, route: Route) -> int:
        """How good a choice a route is by what its upstream has: LOADED, UNKNOWN, NOT_LOADED or MISSING.

        A server that does not tell which models it has does not keep anyone waiting for one either: it counts as
        LOADED, so that Ollamas do not take its share.
        """
        look = self._looks.get(route.upstream_name)
        if look is None or not look.healthy:
            return UNKNOWN
        if look.models is None:
            return LOADED
        model = canonical(route.upstream_model)
        if model in look.loaded:
            return LOADED
        return NOT_LOADED if model in look.models else MISSING

    def is_loading(self, route: Route, *, now_s: float) -> bool:
        """Whether a request may have to wait until the model is in memory."""
        if not self._unloaded_s:
            return False
        seen_s = self._unloaded_s.get((route.upstream_name, canonical(route.upstream_model)))
        return seen_s is not None and now_s - seen_s <= self._load_s

    def first_byte_s(self, route: Route, *, now_s: float) -> float:
        """How long a request may wait for its first byte, counted from its start.

        To be asked at every look at the clock, not once: that the model was unloaded may be seen only afterwards.
        """
        limit_s = route.first_byte_timeout_s
        return max(limit_s, self._load_s) if self.is_loading(route, now_s=now_s) else limit_s
