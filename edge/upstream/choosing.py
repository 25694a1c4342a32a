"""Chooses which of several upstreams gets a request: pure decisions on what is known of them.

The groups of candidates (a model's routes of one position) are asked in their order; the first that has a good upstream
serves. Where none has, one that is avoided is better than none, and so is one that is ejected: nobody is refused
because of what we believe of a server. So an ejection never takes the last one away.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from math import log
from typing import Final

from edge.upstream.candidates import Candidate
from edge.upstream.members import Level, Member

MOST_OF_AVERAGE: Final = 2
"""A sticky request goes elsewhere where its upstream has more than so many times its share of what is in flight."""

Rank = Callable[[Candidate], int]


def choose(
    candidates: Sequence[Candidate],
    members: Mapping[str, Member],
    *,
    tried: Collection[Candidate],
    sticky_key: str,
    rank: Rank | None,
    now_s: float,
    random: Callable[[], float],
) -> Candidate | None:
    """The candidate for the next attempt, None where all were tried; `random` gives numbers in [0, 1).

    `members` has every upstream of the candidates, by name. Of a group's best, those of the lowest `rank` count.
    """
    if len(candidates) == 1:
        return None if candidates[0] in tried else candidates[0]
    pool, level = _best_group(candidates, members, tried=tried, now_s=now_s)
    if len(pool) < 2:
        return pool[0] if pool else None
    if rank is not None:
        pool = _of_best_rank(pool, rank)
        if len(pool) == 1:
            return pool[0]
    if level >= Level.EJECTED:
        # One that fails at once has nothing in flight, so the load would lead everybody to the deadest of them.
        return _by_weight(pool, random)
    if sticky_key and pool[0].model.sticky:
        return _sticky(pool, members, sticky_key)
    return _less_loaded_of_two(pool, members, random)


def _best_group(
    candidates: Sequence[Candidate], members: Mapping[str, Member], *, tried: Collection[Candidate], now_s: float
) -> tuple[list[Candidate], Level]:
    """The untried candidates of the best level in the first group that has such, and that level."""
    pool: list[Candidate] = []
    best = max(Level)
    for candidate in candidates:
        if tried and candidate in tried:
            continue
        level = members[candidate.upstream.name].level(now_s)
        if not pool or level < best:
            pool, best = [candidate], level
        elif level == best and _is_of(candidate, pool[0]):
            pool.append(candidate)
    return pool, best


def _is_of(candidate: Candidate, first: Candidate) -> bool:
    """Whether they are of one group."""
    return candidate.model is first.model and candidate.route.position == first.route.position


def _of_best_rank(pool: list[Candidate], rank: Rank) -> list[Candidate]:
    ranks = [rank(candidate) for candidate in pool]
    best = min(ranks)
    return [candidate for candidate, its in zip(pool, ranks, strict=True) if its == best]


def _by_weight(pool: Sequence[Candidate], random: Callable[[], float]) -> Candidate:
    whole = 0
    for candidate in pool:
        whole += candidate.route.weight
    at = random() * whole
    for candidate in pool:
        at -= candidate.route.weight
        if at < 0:
            return candidate
    return pool[-1]


def _less_loaded_of_two(pool: list[Candidate], members: Mapping[str, Member], random: Callable[[], float]) -> Candidate:
    """Of two that are drawn by weight, the one with less to do; the first where both have the same.

    Two draws are nearly as even as asking all, and many edges that know only their own load do not all run to the same
    idle upstream (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").
    """
    first = _by_weight(pool, random)
    second = _by_weight([candidate for candidate in pool if candidate is not first], random)
    return second if _load(second, members) < _load(first, members) else first


def _load(candidate: Candidate, members: Mapping[str, Member]) -> float:
    return members[candidate.upstream.name].slots.busy / candidate.route.weight


def _sticky(pool: Sequence[Candidate], members: Mapping[str, Member], key: str) -> Candidate:
    """The upstream that this key always gets, or the next one where it has far more than its share.

    Weighted rendezvous hashing: every edge finds the same order, and one that comes or goes moves only its own keys.
    """
    most = MOST_OF_AVERAGE * (1 + sum(members[candidate.upstream.name].slots.busy for candidate in pool))
    per_weight = most / sum(candidate.route.weight for candidate in pool)
    within = [candidate for candidate in pool if _load(candidate, members) <= per_weight]
    return max(within, key=lambda candidate: _score(key, candidate))


def _score(key: str, candidate: Candidate) -> float:
    seed = f"{candidate.upstream.name}\0{candidate.route.upstream_model}\0{key}".encode("utf-8", "surrogatepass")
    drawn = int.from_bytes(blake2b(seed, digest_size=6).digest())
    return -candidate.route.weight / log((drawn + 0.5) / 2**48)
