"""Who may call which RPC of auth; held against the calls in our code by a test."""

from collections.abc import Mapping
from typing import Final

_EDGE: Final = frozenset({"edge"})
_EDGE_AND_OPERATOR: Final = frozenset({"edge", "operator"})
_OPERATOR: Final = frozenset({"operator"})

CALLERS: Final[Mapping[str, frozenset[str]]] = {
    "SignUp": _EDGE,
    "LogIn": _EDGE,
    "LogOut": _EDGE,
    "GetUser": _EDGE_AND_OPERATOR,
    "CheckSession": _EDGE,
    "ListSessions": _EDGE,
    "EndSession": _EDGE,
    "EndOtherSessions": _EDGE,
    "ChangePassword": _EDGE,
    "CreateApiKey": _EDGE,
    "ListApiKeys": _EDGE,
    "UpdateApiKey": _EDGE,
    "DeleteApiKey": _EDGE,
    "ResolveApiKeys": _EDGE,
    "ResolveApiKeyById": _EDGE,
    "ListRevocations": _EDGE,
    "ReportApiKeyUse": _EDGE,
    "CreateUser": _OPERATOR,
    "ListUsers": _EDGE_AND_OPERATOR,
    "BatchGetUsers": _EDGE,
    "UpdateUser": _EDGE_AND_OPERATOR,
    "ListAuditEvents": _EDGE,
    "RepairVirtualKeys": _OPERATOR,
}
"""RPC -> identities of the processes that may call it; `operator` is the command line."""
