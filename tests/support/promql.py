"""Enough of PromQL to judge alert rules by: parsed by a real parser, worked out here.

It knows what our rules use: selectors with matchers, `rate`, `increase`, `histogram_quantile`, `time`, `vector`,
aggregations, arithmetic, comparisons, `and` and `or`. What it does not know it refuses. `rate` takes a series to go on
as it did between its first and its last sample of the window, where Prometheus is a little more careful at the edges.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Final

import promql_parser as promql

LOOKBACK_S: Final = 300.0

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Samples = Sequence[tuple[float, float]]
"""Times in seconds and values, in order."""

_ARITHMETIC: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b if b else float("nan"),
}
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
}
_AGGREGATIONS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "count": len,
}


class World:
    """Series by name and labels, as they were scraped."""

    def __init__(self, series: Mapping[Labels, Samples]) -> None:
        self._series = series

    def at(self, expression: str, now_s: float) -> Vector:
        """What an expression has at a time."""
        answer = self._work_out(_parsed(expression), now_s)
        return answer if isinstance(answer, dict) else {frozenset(): answer}

    def has_any(self, names: Iterable[str]) -> bool:
        """Whether there is a series of any of these names."""
        return not {dict(labels)["__name__"] for labels in self._series}.isdisjoint(names)

    def _work_out(self, node: Any, now_s: float) -> Vector | float:
        match node:
            case promql.NumberLiteral():
                return float(node.val)
            case promql.ParenExpr():
                return self._work_out(node.expr, now_s)
            case promql.VectorSelector():
                return dict(self._latest(node, now_s))
            case promql.AggregateExpr():
                return self._aggregate(node, now_s)
            case promql.Call():
                return self._call(node, now_s)
            case promql.BinaryExpr():
                sides = self._work_out(node.lhs, now_s), self._work_out(node.rhs, now_s)
                return _combine(str(node.op), *sides)
        raise NotImplementedError(type(node).__name__)

    def _matching(self, selector: Any) -> Iterator[tuple[Labels, Samples]]:
        for labels, samples in self._series.items():
            known = dict(labels)
            if known["__name__"] == selector.name and all(_fits(one, known) for one in selector.matchers.matchers):
                yield labels, samples

    def _latest(self, selector: Any, now_s: float) -> Iterator[tuple[Labels, float]]:
        for labels, samples in self._matching(selector):
            seen = [value for at_s, value in samples if now_s - LOOKBACK_S < at_s <= now_s]
            if seen:
                yield labels, seen[-1]

    def _aggregate(self, node: Any, now_s: float) -> Vector:
        if node.modifier is not None and node.modifier.type != promql.AggModifierType.By:
            raise NotImplementedError("without")
        kept = frozenset(node.modifier.labels if node.modifier is not None else ())
        groups: dict[Labels, list[float]] = {}
        inner = self._work_out(node.expr, now_s)
        assert isinstance(inner, dict), node
        for labels, value in inner.items():
            groups.setdefault(frozenset(one for one in labels if one[0] in kept), []).append(value)
        return {labels: float(_AGGREGATIONS[str(node.op)](values)) for labels, values in groups.items()}

    def _call(self, node: Any, now_s: float) -> Vector | float:
        name = node.func.name
        if name == "time":
            return float(now_s)
        if name == "vector":
            return {frozenset(): self._number(node.args[0], now_s)}
        if name in {"rate", "increase"}:
            window_s = node.args[0].range.total_seconds()
            grown = {
                _nameless(labels): growth
                for labels, samples in self._matching(node.args[0].vector_selector)
                if (growth := _growth(samples, now_s, window_s)) is not None
            }
            return {labels: growth / window_s for labels, growth in grown.items()} if name == "rate" else grown
        if name == "histogram_quantile":
            inner = self._work_out(node.args[1], now_s)
            assert isinstance(inner, dict), node
            return _quantiles(self._number(node.args[0], now_s), inner)
        raise NotImplementedError(name)

    def _number(self, node: Any, now_s: float) -> float:
        number = self._work_out(node, now_s)
        assert isinstance(number, float), node
        return number


def selectors(expression: str) -> list[tuple[str, list[str]]]:
    """The names of the series that an expression looks at, each with the labels that it asks for."""
    return [
        (str(node.name), [one.name for one in node.matchers.matchers])
        for node in _nodes(promql.parse(expression))
        if isinstance(node, promql.VectorSelector)
    ]


def grouping(expression: str) -> list[tuple[list[str], list[str]]]:
    """For each aggregation, the labels that it keeps and the names of the series in it."""
    return [
        (list(node.modifier.labels), [name for name, _ in selectors(str(node.expr))])
        for node in _nodes(promql.parse(expression))
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None
    ]


_parsed = cache(promql.parse)


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        inner = getattr(node, name, None)
        if inner is not None and not isinstance(inner, str):
            yield from _nodes(inner)
    for inner in getattr(node, "args", ()):
        yield from _nodes(inner)


def _fits(matcher: Any, labels: Mapping[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    match matcher.op:
        case promql.MatchOp.Equal:
            return bool(value == matcher.value)
        case promql.MatchOp.NotEqual:
            return bool(value != matcher.value)
        case promql.MatchOp.Re:
            return re.fullmatch(matcher.value, value) is not None
    return re.fullmatch(matcher.value, value) is None


def _growth(samples: Samples, now_s: float, window_s: float) -> float | None:
    seen = [one for one in samples if now_s - window_s < one[0] <= now_s]
    if len(seen) < 2:
        return None
    # A counter that falls has begun anew.
    grown = sum(later - earlier if later >= earlier else later for (_, earlier), (_, later) in pairwise(seen))
    return grown * window_s / (seen[-1][0] - seen[0][0])


def _quantiles(wanted: float, buckets: Vector) -> Vector:
    groups: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in buckets.items():
        rest = frozenset(one for one in labels if one[0] != "le")
        groups.setdefault(rest, []).append((float(dict(labels)["le"]), count))
    return {labels: _quantile(wanted, sorted(group)) for labels, group in groups.items()}


def _quantile(wanted: float, buckets: Sequence[tuple[float, float]]) -> float:
    total = buckets[-1][1]
    if not total:
        return float("nan")
    below, lower = 0.0, 0.0
    for upper, count in buckets:
        if count >= wanted * total:
            return (
                lower if upper == float("inf") else lower + (upper - lower) * (wanted * total - below) / (count - below)
            )
        below, lower = count, upper
    raise AssertionError("the last bucket has all")


def _combine(operation: str, left: Vector | float, right: Vector | float) -> Vector | float:
    if operation in {"and", "or"}:
        assert isinstance(left, dict)
        assert isinstance(right, dict)
        known = {_nameless(labels) for labels in right}
        if operation == "and":
            return {labels: value for labels, value in left.items() if _nameless(labels) in known}
        ours = {_nameless(labels) for labels in left}
        return left | {labels: value for labels, value in right.items() if _nameless(labels) not in ours}
    if not isinstance(left, dict) and not isinstance(right, dict):
        return _ARITHMETIC[operation](left, right)
    answer: Vector = {}
    for labels, ours_, theirs in _pairs(left, right):
        if operation in _ARITHMETIC:
            answer[_nameless(labels)] = _ARITHMETIC[operation](ours_, theirs)
        elif _COMPARISONS[operation](ours_, theirs):
            answer[labels] = ours_
    return answer


def _pairs(left: Vector | float, right: Vector | float) -> Iterator[tuple[Labels, float, float]]:
    if isinstance(left, dict) and isinstance(right, dict):
        theirs = {_nameless(labels): value for labels, value in right.items()}
        for labels, value in left.items():
            if _nameless(labels) in theirs:
                yield labels, value, theirs[_nameless(labels)]
    elif isinstance(left, dict):
        assert isinstance(right, float)
        yield from ((labels, value, right) for labels, value in left.items())
    else:
        assert isinstance(right, dict)
        yield from ((labels, left, value) for labels, value in right.items())


def _nameless(labels: Labels) -> Labels:
    return frozenset(one for one in labels if one[0] != "__name__")
