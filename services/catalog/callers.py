"""Who may call which RPC of catalog; held against the calls in our code by a test."""

from collections.abc import Mapping
from typing import Final

_BILLING: Final = frozenset({"billing"})
_EDGE: Final = frozenset({"edge"})
_EDGE_AND_OPERATOR: Final = frozenset({"edge", "operator"})

CALLERS: Final[Mapping[str, frozenset[str]]] = {
    "GetCatalog": _EDGE_AND_OPERATOR,
    "GetPlan": _BILLING,
    "CreateModel": _EDGE_AND_OPERATOR,
    "UpdateModel": _EDGE_AND_OPERATOR,
    "SetModelPrice": _EDGE_AND_OPERATOR,
    "UpdatePlan": _EDGE_AND_OPERATOR,
    "SetUpstream": _EDGE_AND_OPERATOR,
    "ListModelPrices": _EDGE_AND_OPERATOR,
    "ListAuditEvents": _EDGE,
}
"""RPC -> identities of the processes that may call it; `operator` is the command line."""
