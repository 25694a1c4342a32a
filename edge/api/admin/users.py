"""What operators do about users: look them up, disable them, change plans, correct balances."""

from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi import Query as InQuery
from google.protobuf.field_mask_pb2 import FieldMask
from pydantic import BaseModel, ConfigDict, Field

from edge.api import keys
from edge.api.auth import User
from edge.api.billing import IdempotencyKey, Transaction
from edge.api.session import Administrator
from edge.api.wire import Body, JsonRoute, Line, Page, PageQuery, Usd, identifier
from edge.deps import Deps, With
from edge.errors import EdgeError
from kit.money import format_usd
from privaterouter.auth.v1 import auth_pb2
from privaterouter.billing.v1 import billing_pb2

ROLES = {"user": auth_pb2.USER_ROLE_USER, "admin": auth_pb2.USER_ROLE_ADMIN}
STATUSES = {"active": auth_pb2.USER_STATUS_ACTIVE, "disabled": auth_pb2.USER_STATUS_DISABLED}

router = APIRouter(prefix="/api/admin/users", tags=["Administration"], route_class=JsonRoute)


class UserQuery(PageQuery):
    """Which users to list."""

    search: Line = Field("", description="Only users whose e-mail or name contains this.")
    email: Line = Field("", description="Only the user with exactly this e-mail.")


class Account(BaseModel):
    """A user's account."""

    balance_usd: str
    reserved_usd: str = Field(description="The part of the balance that is set aside for running requests.")
    plan_name: str


class UserWithAccount(User):
    """A user, and the account where it has been opened."""

    account: Account | None


class UserChange(Body):
    """What to change of a user: only the fields that are sent. Disabling ends all sessions and stops all keys."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "disabled"}]})

    name: Annotated[Line, Field(max_length=100)] = ""
    role: Literal["user", "admin"] = "user"
    status: Literal["active", "disabled"] = "active"
    reason: Annotated[Line, Field(description="Why; it goes into the audit log.")] = ""


class PlanChange(Body):
    """The plan to move an account to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"plan": "starter", "reason": "upgrade by mail"}]})

    plan: Annotated[Line, Field(min_length=1, max_length=63)]
    reason: Line = ""


class PlanChanged(BaseModel):
    """The account after it."""

    account: Account
    granted_usd: str = Field(description="Credit that came with it; 0.00 where this month's was granted before.")


class Credit(Body):
    """Credit to add, or to take where it is negative, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount_usd": "5.00", "reason": "goodwill"}]})

    amount_usd: Usd
    reason: Annotated[Line, Field(min_length=1, max_length=500)]


class Credited(BaseModel):
    """The account after it, and the transaction."""

    account: Account
    transaction: Transaction


@router.get("")
async def list_users(_: Administrator, query: Annotated[UserQuery, InQuery()], deps: With) -> Page[UserWithAccount]:
    """Users with their accounts, newest first."""
    request = auth_pb2.ListUsersRequest(limit=query.limit, offset=query.offset, search=query.search, email=query.email)
    answer = await deps.clients.auth.ListUsers(request)
    items = await _with_accounts(deps, list(answer.users))
    return Page(items=items, total=answer.total, limit=query.limit, offset=query.offset)


@router.get("/{user_id}")
async def get_user(user_id: str, _: Administrator, deps: With) -> UserWithAccount:
    """One user with the account."""
    answer = await deps.clients.auth.GetUser(auth_pb2.GetUserRequest(user_id=_user_id(user_id)))
    return (await _with_accounts(deps, [answer.user]))[0]


@router.patch("/{user_id}")
async def change_user(user_id: str, admin: Administrator, body: UserChange, deps: With) -> UserWithAccount:
    """Change name, role or status of a user."""
    changed = body.model_fields_set - {"reason"}
    if not changed:
        raise EdgeError("invalid_body", "Send at least one of: name, role, status.")
    user = auth_pb2.User(id=_user_id(user_id), name=body.name, role=ROLES[body.role], status=STATUSES[body.status])
    request = auth_pb2.UpdateUserRequest(
        user=user, update_mask=FieldMask(paths=sorted(changed)), actor_id=admin.user.id, reason=body.reason
    )
    answer = await deps.clients.auth.UpdateUser(request)
    return (await _with_accounts(deps, [answer.user]))[0]


@router.get("/{user_id}/keys")
async def list_keys_of(
    user_id: str, _: Administrator, query: Annotated[PageQuery, InQuery()], deps: With
) -> Page[keys.Key]:
    """A user's API keys, as the user sees them."""
    answer = await deps.clients.auth.GetUser(auth_pb2.GetUserRequest(user_id=_user_id(user_id)))
    return await keys.keys_page(deps, answer.user.id, query)


@router.post("/{user_id}/plan")
async def change_plan(user_id: str, admin: Administrator, body: PlanChange, deps: With) -> PlanChanged:
    """Move a user's account to a plan; its credits are granted once a month."""
    answer = await deps.clients.billing.ChangePlan(
        billing_pb2.ChangePlanRequest(
            account_id=_user_id(user_id), plan_id=body.plan, actor_id=admin.user.id, reason=body.reason
        )
    )
    return PlanChanged(account=_account(answer.account), granted_usd=format_usd(answer.granted_nanos))


@router.post("/{user_id}/credits")
async def adjust_credits(
    user_id: str, admin: Administrator, body: Credit, deps: With, idempotency_key: IdempotencyKey = None
) -> Credited:
    """Add credit to a user's account, or take some, for a reason."""
    answer = await deps.clients.billing.AdjustBalance(
        billing_pb2.AdjustBalanceRequest(
            account_id=_user_id(user_id),
            amount_nanos=body.amount_usd,
            reason=body.reason,
            actor_id=admin.user.id,
            idempotency_key=idempotency_key or str(deps.ids()),
        )
    )
    return Credited(account=_account(answer.account), transaction=Transaction.of(answer.transaction))


async def _with_accounts(deps: Deps, users: list[auth_pb2.User]) -> list[UserWithAccount]:
    request = billing_pb2.BatchGetAccountsRequest(account_ids=[user.id for user in users])
    found = (await deps.clients.billing.BatchGetAccounts(request)).accounts if users else []
    accounts = {account.account_id: _account(account) for account in found}
    return [UserWithAccount(**User.of(user).model_dump(), account=accounts.get(user.id)) for user in users]


def _account(account: billing_pb2.Account) -> Account:
    return Account(
        balance_usd=format_usd(account.posted_nanos),
        reserved_usd=format_usd(account.leased_nanos),
        plan_name=account.plan_id,
    )


def _user_id(given: str) -> str:
    return identifier(given, code="user_not_found", what="user")
