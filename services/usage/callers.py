"""Who may call which RPC of usage; held against the calls in our code by a test."""

from collections.abc import Mapping
from typing import Final

_EDGE: Final = frozenset({"edge"})
_OPERATOR: Final = frozenset({"operator"})

CALLERS: Final[Mapping[str, frozenset[str]]] = {
    "RecordUsage": _EDGE,
    "ClaimIdempotencyKey": _EDGE,
    "ReleaseIdempotencyKey": _EDGE,
    "KeepAnswer": _EDGE,
    "ListUsage": _EDGE,
    "GetUsage": _EDGE,
    "SummarizeUsage": _EDGE,
    "SummarizeAllUsage": _EDGE,
    "ListModelUsage": _OPERATOR,
    "ReconcileCharges": _OPERATOR,
    "ReconcileLeases": _OPERATOR,
}
"""RPC -> identities of the processes that may call it; `operator` is the command line."""
