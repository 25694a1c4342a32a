"""The error classes are those of the contract, no more and no less."""

import re
from pathlib import Path

from privaterouter.auth.v1 import auth_pb2 as pb
from services.auth.errors import AuthError

PROTO = Path(__file__).parents[3] / "proto/privaterouter/auth/v1/auth.proto"


def test_every_reason_of_the_contract_has_a_class_and_every_class_a_reason() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in pb.ErrorReason.DESCRIPTOR.values_by_name} - {
        "UNSPECIFIED"
    }
    assert {error.reason for error in AuthError.__subclasses__()} == reasons


def test_every_class_has_the_code_that_the_contract_names() -> None:
    promised = re.findall(r"// ([A-Z_]+): .*\n  ERROR_REASON_([A-Z_]+) = ", PROTO.read_text())
    assert {error.reason: error.code.name for error in AuthError.__subclasses__()} == {
        reason: code for code, reason in promised
    }
    assert {error.domain for error in AuthError.__subclasses__()} == {"auth.privaterouter"}
