"""Pages of lists."""

import pytest

from kit.errors import InvalidArgument
from kit.paging import page


def test_an_unset_limit_is_the_default() -> None:
    assert page(0, 0) == (20, 0)
    assert page(0, 7, default=50) == (50, 7)


def test_limits_are_kept() -> None:
    assert page(1, 0) == (1, 0)
    assert page(200, 10**9) == (200, 10**9)


@pytest.mark.parametrize("limit, offset, field", [(201, 0, "limit"), (-1, 0, "limit"), (5, -1, "offset")])
def test_a_page_out_of_bounds_names_the_field(limit: int, offset: int, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        page(limit, offset)
    assert caught.value.metadata == {"field": field}
