"""`metadata` carries a few short texts, and nothing that an upstream could be steered with."""

from typing import Any

import msgspec
import pytest

from edge.errors import EdgeError
from edge.v1.envelope import read_request
from edge.v1.metadata import check_metadata


def check(body: dict[str, Any]) -> None:
    check_metadata(read_request(msgspec.json.encode(body)).raw)


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"mine": ""}, {f"{number:02}" * 32: "é" * 512 for number in range(16)}],
)
def test_a_few_short_texts_pass(metadata: object) -> None:
    check({"metadata": metadata})
    check({})


@pytest.mark.parametrize(
    "metadata",
    [
        "text",
        [],
        7,
        {"tags": ["gpu"]},
        {"guardrails": {}},
        {"mine": None},
        {"n": 1},
        {"x" * 65: ""},
        {"mine": "x" * 513},
        {str(number): "" for number in range(17)},
    ],
)
def test_anything_else_is_refused_by_name(metadata: object) -> None:
    with pytest.raises(EdgeError, match="at most 16 texts") as refused:
        check({"metadata": metadata})
    assert (refused.value.code, refused.value.param, refused.value.status) == ("invalid_body", "metadata", 400)
