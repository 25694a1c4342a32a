"""What a usage costs, and which usage is charged at each end of a request."""

from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from edge.lookup.catalogue import Price
from edge.v1.answers import Choice, Counter, Delta, Function, ToolCall
from edge.v1.billing import our_count, price_of
from edge.v1.bounds import Bounds
from edge.v1.usage import Usage
from kit.money import MAX_NANOS

PRICES = st.integers(0, 10**13)
TOKENS = st.integers(0, 2**40)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Any usage that is believed."""
    prompt, output = draw(TOKENS), draw(TOKENS)
    cached = draw(st.integers(0, prompt))
    return Usage(prompt, output, cached, draw(st.integers(0, output)), draw(st.integers(0, prompt - cached)))


@given(usages(), PRICES, PRICES, PRICES, PRICES)
def test_a_usage_costs_the_exact_sum_rounded_up_once(
    usage: Usage, fresh: int, cached: int, written: int, output: int
) -> None:
    exact = Fraction(
        (usage.input_tokens - usage.cached_input_tokens - usage.cache_write_input_tokens) * fresh
        + usage.cached_input_tokens * cached
        + usage.cache_write_input_tokens * written
        + usage.output_tokens * output,
        1_000_000,
    )
    assert price_of(usage, Price("p", fresh, cached, output, written)) == min(MAX_NANOS, ceil(exact))


@given(usages(), PRICES, PRICES, PRICES, PRICES)
def test_a_usage_costs_between_all_at_the_cheapest_class_and_all_at_the_dearest(
    usage: Usage, fresh: int, cached: int, written: int, output: int
) -> None:
    cost = price_of(usage, Price("p", fresh, cached, output, written))
    plain = Usage(usage.input_tokens, usage.output_tokens)
    cheapest, dearest = min(fresh, cached, written), max(fresh, cached, written)
    assert 0 <= price_of(plain, Price("p", cheapest, 0, output)) <= cost
    assert cost <= price_of(plain, Price("p", dearest, 0, output))


@given(usages(), PRICES, PRICES)
def test_what_is_hidden_cached_or_written_is_never_counted_twice(usage: Usage, fresh: int, output: int) -> None:
    plain = Usage(usage.input_tokens, usage.output_tokens)
    price = Price("p", fresh, fresh, output, fresh)
    assert price_of(usage, price) == price_of(plain, price)


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=40))))
def test_our_count_is_the_larger_of_deltas_and_a_fifth_of_their_bytes(deltas: list[tuple[int, str]]) -> None:
    counter = Counter()
    for index, text in deltas:
        counter.add(Choice(index=index, delta=Delta(content=text)))
    expected = 0
    for answer in range(4):
        texts = [text.encode("utf-8", "surrogatepass") for index, text in deltas if index == answer and text]
        expected += max(len(texts), sum(map(len, texts)) // 5)
    assert counter.output_tokens == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=40))), st.integers(0, 200))
def test_only_several_answers_are_too_long_for_a_number_of_tokens_and_only_where_our_count_is_larger(
    deltas: list[tuple[int, str]], told: int
) -> None:
    counter = Counter()
    for index, text in deltas:
        counter.add(Choice(index=index, delta=Delta(content=text)))
    spoke = {index for index, text in deltas if text}
    if counter.is_more_than(told):
        assert len(spoke) > 1
        assert counter.output_tokens * 3 > told * 4
    elif len(spoke) > 1:
        assert sum(bool(text) for _, text in deltas) * 3 <= told * 4


def test_reasoning_refusals_and_tool_arguments_count_and_empty_deltas_do_not() -> None:
    counter = Counter()
    call = ToolCall(function=Function(name="f", arguments="{}"))
    for delta in (
        Delta(),
        Delta(content=""),
        Delta(reasoning_content="a"),
        Delta(reasoning="b"),
        Delta(refusal="c"),
        Delta(tool_calls=[call]),
        Delta(function_call=Function(arguments="d")),
    ):
        counter.add(Choice(delta=delta))
    counter.add(Choice(text="e"))
    assert counter.output_tokens == 6


def test_before_the_first_token_nothing_is_counted() -> None:
    bounds = Bounds(100, 20, limit_tokens=5, answers=1, choices=1)
    counter = Counter()
    assert our_count(counter, bounds) == Usage(0, 0, estimated=True)
    counter.add(Choice(delta=Delta(content="a")))
    assert our_count(counter, bounds) == Usage(20, 1, estimated=True)
