"""The comparison of a large system with a small one: whose keys are used, and how the figures come about."""

from types import SimpleNamespace
from typing import cast

import pytest

from bench.size import ANY_KEY, KEYS, LARGE, ONE_KEY, SMALL, Cost, Side, cold, owners, ratio, secret_of, table
from kit.tokens import has_valid_form
from services.auth.api_keys import SECRET_PREFIX


def side(**costs: list[Cost]) -> Side:
    draws = {"one": ONE_KEY, "any": ANY_KEY}
    return cast(Side, SimpleNamespace(costs={("chat", draws[name]): rounds for name, rounds in costs.items()}))


FOUND = {
    SMALL: side(one=[Cost(90, 10, 200), Cost(110, 10, 200)], any=[Cost(300, 200, 900), Cost(320, 240, 900)]),
    LARGE: side(one=[Cost(100, 25, 400), Cost(100, 20, 100)], any=[Cost(310, 220, 900), Cost(350, 260, 900)]),
}


@pytest.mark.parametrize("users", [KEYS, KEYS + 1, 50 * KEYS])
def test_each_key_is_of_another_user_and_they_are_spread_over_all(users: int) -> None:
    numbers = owners(users)
    assert len(set(numbers)) == KEYS
    assert (numbers[0], numbers[-1] > users * (KEYS - 1) // KEYS, max(numbers) <= users) == (1, True, True)


def test_secrets_are_keys_that_an_edge_asks_for() -> None:
    assert has_valid_form(SECRET_PREFIX, secret_of(7))
    assert secret_of(7) == secret_of(7) != secret_of(8)


def test_each_pair_of_rounds_has_its_own_ratio() -> None:
    assert ratio(FOUND, ("chat", ONE_KEY), "edge_us") == [0.9, 1.1]
    assert ratio(FOUND, ("chat", ONE_KEY), "all_us") == [0.8, 1.0]
    assert ratio(FOUND, ("chat", ONE_KEY), "wall_us") == [0.5, 2.0]


def test_the_table_has_medians_and_what_the_rounds_would_allow() -> None:
    row = table(FOUND).splitlines()[2]
    assert row == "| chat | one key | 100 | 100 | 1.000 (0.90 to 1.10) | 0.900 (0.80 to 1.00) | 1.250 (0.50 to 2.00) |"


def test_a_cold_key_costs_what_it_takes_more_than_a_known_one() -> None:
    assert cold(FOUND, SMALL) == "210 µs of CPU more in the edge, 210 µs beside it"
