"""Every reason in a contract has one error class in its service, with the gRPC code that the contract names."""

import importlib
import re
from pathlib import Path

import grpc
import pytest

from kit.errors import AppError

ROOT = Path(__file__).parents[2]
SERVICES = ("auth", "catalog", "billing", "usage")
# A comment that begins with the code, then the value it belongs to.
REASON = re.compile(r"((?:^ *//.*\n)+) *ERROR_REASON_(\w+) = [1-9]", re.MULTILINE)


def promised(service: str) -> dict[str, str]:
    """Reason -> name of the gRPC code, as the comments of the contract say."""
    text = (ROOT / f"proto/privaterouter/{service}/v1/{service}.proto").read_text()
    return {reason: comment.split(":")[0].strip(" /\n") for comment, reason in REASON.findall(text)}


def kept(service: str) -> list[type[AppError]]:
    """The service's error classes that have a reason of their own."""
    module = importlib.import_module(f"services.{service}.errors")
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, AppError)]
    return [cls for cls in classes if cls.__module__ == module.__name__ and "reason" in vars(cls)]


@pytest.mark.parametrize("service", SERVICES)
def test_contract_and_service_agree_on_every_reason_and_code(service: str) -> None:
    classes = kept(service)
    assert {cls.reason: cls.code.name for cls in classes} == promised(service)
    assert len(classes) == len(promised(service)), "two classes share a reason"
    assert {cls.domain for cls in classes} == {f"{service}.privaterouter"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_reason_of_a_contract_is_found_with_its_code(service: str) -> None:
    """Guards the reading above: a comment without a code would drop out of it."""
    contract = importlib.import_module(f"privaterouter.{service}.v1.{service}_pb2")
    reasons = {name.removeprefix("ERROR_REASON_") for name, number in contract.ErrorReason.items() if number}
    assert set(promised(service)) == reasons
    assert set(promised(service).values()) <= {code.name for code in grpc.StatusCode}
