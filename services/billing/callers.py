"""Who may call which RPC of billing; held against the calls in our code by a test."""

from collections.abc import Mapping
from typing import Final

_AUTH: Final = frozenset({"auth"})
_EDGE: Final = frozenset({"edge"})
_EDGE_AND_OPERATOR: Final = frozenset({"edge", "operator"})
_OPERATOR: Final = frozenset({"operator"})
_USAGE: Final = frozenset({"usage"})

CALLERS: Final[Mapping[str, frozenset[str]]] = {
    "OpenAccount": _AUTH,
    "GetBalance": _EDGE,
    "BatchGetAccounts": _EDGE_AND_OPERATOR,
    "ListAccountChanges": _EDGE,
    "TopUp": _EDGE,
    "ListTransactions": _EDGE,
    "ChangePlan": _EDGE_AND_OPERATOR,
    "AdjustBalance": _EDGE_AND_OPERATOR,
    "BatchGetKeySpend": _EDGE,
    "AcquireLeases": _EDGE,
    "RenewLeases": _EDGE,
    "CloseLeases": _EDGE,
    "SettleCharges": _USAGE,
    "GetCharges": _EDGE,
    "CorrectCharges": _OPERATOR,
    "ListAllTransactions": _EDGE,
    "SumCredits": _EDGE,
    "GetLedgerTotals": _EDGE,
    "ListAuditEvents": _EDGE,
    "VerifyLedger": _OPERATOR,
    "ListCharges": _USAGE,
    "ListUnreleasedLeases": _USAGE,
}
"""RPC -> identities of the processes that may call it; `operator` is the command line."""
