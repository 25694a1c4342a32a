"""Finds out who calls `/v1`, and what they may use."""

from typing import Never

from edge.errors import EdgeError
from edge.lookup.accounts import Accounts
from edge.lookup.api_keys import ApiKeys
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Catalogue, Model, Plan, Snapshot
from edge.v1.headers import Headers, find


class Callers:
    """API keys, the plans of their accounts, and the catalogue, asked together."""

    def __init__(self, *, api_keys: ApiKeys, accounts: Accounts, catalogue: Catalogue) -> None:
        self._api_keys = api_keys
        self._accounts = accounts
        self._catalogue = catalogue

    async def identify(self, headers: Headers) -> Caller:
        """The caller with the secret in these headers (names in lower case).

        EdgeError `invalid_api_key`, `invalid_parameter` where such a header is given twice, or `service_unavailable`
        where auth can't be asked.
        """
        secret = _secret(headers)
        caller = self._api_keys.cached(secret)
        if caller is None:
            caller = await self._api_keys.resolve(secret)
        return caller

    def note_use(self, caller: Caller) -> None:
        """The key was used now."""
        self._api_keys.note_use(caller)

    async def plan_of(self, caller: Caller) -> tuple[Plan, Snapshot]:
        """The caller's plan, and the catalogue that it is from. EdgeError `service_unavailable`."""
        plan_id = self._accounts.cached(caller.account_id)
        if plan_id is None:
            plan_id = await self._accounts.plan_id(caller.account_id)
        snapshot = self._catalogue.current()
        plan = snapshot.plans.get(plan_id)
        if plan is None:
            raise EdgeError("service_unavailable", f"The plan {plan_id!r} of this account is not in the catalogue.")
        return plan, snapshot


def allowed_models(caller: Caller, plan: Plan, snapshot: Snapshot) -> list[Model]:
    """The models that this key may use, by name."""
    return [model for name, model in sorted(snapshot.models.items()) if _may_use(caller, plan, name)]


def find_model(name: str, *, caller: Caller, plan: Plan, snapshot: Snapshot) -> Model:
    """The model of this public name. EdgeError `model_not_found` or `model_not_allowed`."""
    model = snapshot.models.get(name)
    if model is None:
        raise EdgeError(
            "model_not_found", f"The model {name[:100]!r} does not exist. GET /v1/models lists yours.", param="model"
        )
    if not _may_use(caller, plan, name):
        whose = "plan" if not plan.allows(name) else "API key"
        raise EdgeError(
            "model_not_allowed",
            f"Your {whose} does not allow the model {name!r}. GET /v1/models lists those that it allows.",
            param="model",
        )
    return model


def _may_use(caller: Caller, plan: Plan, name: str) -> bool:
    return plan.allows(name) and (not caller.allowed_models or name in caller.allowed_models)


def _secret(headers: Headers) -> str:
    """The bearer token, else what Anthropic's SDKs send in its place."""
    given = find(headers, b"authorization")
    if given is None:
        return find(headers, b"x-api-key") or _missing()
    scheme, _, secret = given.partition(" ")
    return secret if scheme.lower() == "bearer" else _missing()


def _missing() -> Never:
    raise EdgeError(
        "invalid_api_key",
        "No API key was given. Send the header 'Authorization: Bearer sk-pr-...' with a key from the dashboard.",
    )
