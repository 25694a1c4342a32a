"""Ports that cannot be had are named with the variable to change."""

import socket
from collections.abc import Iterator

import pytest

from deploy.local import checks
from deploy.local.process import StackError
from deploy.local.settings import StackSettings


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("variable", ["EDGE_PORT", "DASHBOARD_PORT", "METRICS_PORT"])
def test_a_taken_port_is_named_with_its_variable_and_another_to_try(variable: str, taken: int) -> None:
    free = {"edge_port": 0, "dashboard_port": 0, "metrics_port": 0}
    settings = StackSettings.model_validate({**free, variable.lower(): taken})
    with pytest.raises(StackError) as failure:
        checks.refuse_taken_ports(settings)
    assert str(failure.value) == (
        f"Port {taken} is taken by another program. Stop that, or choose another port: {variable}={taken + 1} make up"
    )


def test_the_same_port_twice_is_refused() -> None:
    settings = StackSettings.model_validate({"edge_port": 18123, "dashboard_port": 18123})
    with pytest.raises(StackError, match="EDGE_PORT and DASHBOARD_PORT are both 18123"):
        checks.refuse_taken_ports(settings)


def test_any_free_ports_are_fine() -> None:
    checks.refuse_taken_ports(StackSettings.model_validate({"edge_port": 0, "dashboard_port": 0, "metrics_port": 0}))
