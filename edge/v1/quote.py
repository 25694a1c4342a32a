"""`POST /v1/quote`: what a request would cost and whether it would pass, without running it.

By the same code as the hot path, up to where that would hold money: so the most is what would be held, and the least
useful answer decides whether the money is enough.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from edge.dialects.errors import anthropic_error_body
from edge.errors import EdgeError, from_remote
from edge.limits.rates import Rates
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Model, Plan, Snapshot
from edge.money.path import MoneyPath
from edge.money.refusals import not_opened
from edge.openapi.inference import CHAT_REQUEST
from edge.upstream.fleet import Fleet
from edge.v1.bounds import LEAST_OUTPUT_TOKENS
from edge.v1.callers import Callers, find_model
from edge.v1.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Endpoint
from edge.v1.envelope import read_request
from edge.v1.headers import Headers, find
from edge.v1.inputs import decode_struct
from edge.v1.limiting import refused, show_limits
from edge.v1.max_cost import HEADER, read_max_cost
from edge.v1.offers import Offers, offers
from edge.v1.requests import ClientGone, read_body
from kit.errors import RemoteError
from kit.money import cost_nanos, format_usd
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub

BILLING_TIMEOUT_S: Final = 2.0
FLOOR_NANOS: Final = 1_000_000
"""With less than a tenth of a cent nothing begins that costs something; billing asks the same."""
ANTHROPIC_VERSION: Final = b"anthropic-version"
"""The header that Anthropic's API wants and all its clients send: nothing in a body tells Messages from chat."""
_FIELDS: Final = ("messages", "prompt", "input")

Reason = Literal["model_not_allowed", "max_cost_too_low", "insufficient_credits", "key_limit_reached", "credits_in_use"]


class Quote(BaseModel):
    """What a request would cost."""

    object: Literal["quote"] = "quote"
    model: str = Field(examples=["privaterouter/fast"])
    input_tokens_estimate: int = Field(description="Our estimate of the prompt: a fifth of its bytes, and constants.")
    input_tokens_most: int = Field(description="More than that the prompt cannot have.")
    output_tokens_most: int = Field(description="The limit of the answer, times the number of answers.")
    least_usd: str = Field(description="The estimated prompt at its lowest price, and no answer.")
    likely_usd: str = Field(
        description=f"A guess: the estimated prompt, and answers of {LEAST_OUTPUT_TOKENS} tokens, or of the limit where"
        " that is less."
    )
    most_usd: str = Field(description="What would be set aside while it runs. It never costs more.")
    balance_usd: str | None = Field(description="The account's balance; null where it does not matter.")
    would_pass: bool = Field(description="Whether it would run now. Rate limits are not asked.")
    reason: Reason | None = Field(description="The error's code that it would be refused with; null where it passes.")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteParts:
    """What quotes are made from."""

    callers: Callers
    rates: Rates
    fleet: Fleet
    billing: BillingServiceStub
    money: MoneyPath
    max_body_bytes: int = 32 * 1024 * 1024


_BODY = {
    "description": "The same body as for chat completions, completions, embeddings, responses or messages.",
    "required": True,
    "content": {"application/json": {"schema": {"type": "object"}, "example": CHAT_REQUEST}},
}
_PARAMETERS = [
    {"name": HEADER.decode(), "in": "header", "schema": {"type": "string"}},
    {
        "name": ANTHROPIC_VERSION.decode(),
        "in": "header",
        "description": "With any value, a body with `messages` is one for `/v1/messages`, and errors have Anthropic's"
        " shape. Anthropic's clients send it by themselves.",
        "schema": {"type": "string", "examples": ["2023-06-01"]},
    },
]


def quote_router(parts: QuoteParts) -> APIRouter:
    """`POST /v1/quote`. Include it before the rest of `/v1`."""
    router = APIRouter(prefix="/v1", tags=["Inference"])

    @router.post(
        "/quote",
        summary="What a request would cost",
        description="Nothing runs and nothing is set aside; it counts as one of your requests a minute. What the"
        " body is for is seen from it: `prompt` is for completions; `input` for responses where the model is one for"
        " chat, and for embeddings where it is one for those; `messages` for chat completions, or for messages where"
        " the header `anthropic-version` is there.",
        response_model=Quote,
        openapi_extra={"requestBody": _BODY, "parameters": _PARAMETERS},
    )
    async def quote(request: Request) -> Response:
        shown: dict[str, str] = {}
        headers = request.scope["headers"]
        try:
            answer = await _quote(request, parts, shown)
        except ClientGone:
            return Response()
        except EdgeError as error:
            is_anthropic = any(name == ANTHROPIC_VERSION for name, _ in headers)
            told = anthropic_error_body(error) if is_anthropic else error.body()
            return Response(told, error.status, shown | error.headers, media_type="application/json")
        return Response(answer.model_dump_json(), headers=shown, media_type="application/json")

    return router


class _Named(msgspec.Struct):
    """What every body has."""

    model: str


_named = msgspec.json.Decoder(_Named)


async def _quote(request: Request, parts: QuoteParts, shown: dict[str, str]) -> Quote:
    headers = request.scope["headers"]
    caller = await parts.callers.identify(headers)
    body = await read_body(headers, request.receive, most=parts.max_body_bytes)
    fields = read_request(body).raw
    named = decode_struct(_named, body).model
    plan, snapshot = await parts.callers.plan_of(caller)
    model, reason = _model(named, caller, plan=plan, snapshot=snapshot)
    endpoint = _endpoint(fields, model, headers)
    question = endpoint.read(body)
    if model.kind != endpoint.kind:
        raise EdgeError("invalid_body", f"{model.public_name!r} is no model for /v1{endpoint.path}.", param="model")
    offered = offers(question, model, endpoint.able(question, parts.fleet.candidates(model, snapshot)))
    most_nanos = read_max_cost(headers)
    admission = await parts.rates.count(caller, plan)
    show_limits(shown, admission)
    if admission.refusal is not None:
        raise refused(admission.refusal)
    if most_nanos is not None:
        offered, reason = _capped(offered, most_nanos, reason)
    return await _answer(parts, caller, offered=offered, reason=reason)


def _endpoint(fields: Collection[str], model: Model, headers: Headers) -> Endpoint:
    """What a body is for, as far as can be seen from it. EdgeError `invalid_body` where that is nothing, or several."""
    found = [field for field in _FIELDS if field in fields]
    if len(found) != 1:
        raise EdgeError("invalid_body", "Give one of 'messages', 'prompt' and 'input', for what the request would be.")
    if found == ["prompt"]:
        return COMPLETIONS
    if found == ["input"]:
        return RESPONSES if model.kind == RESPONSES.kind else EMBEDDINGS
    return CHAT if find(headers, ANTHROPIC_VERSION) is None else MESSAGES


def _model(name: str, caller: Caller, *, plan: Plan, snapshot: Snapshot) -> tuple[Model, Reason | None]:
    try:
        return find_model(name, caller=caller, plan=plan, snapshot=snapshot), None
    except EdgeError as error:
        if error.code != "model_not_allowed":
            raise
        # Its price is no secret: it may be the reason to ask for another plan.
        return snapshot.models[name], "model_not_allowed"


def _capped(offered: Offers, most_nanos: int, reason: Reason | None) -> tuple[Offers, Reason | None]:
    try:
        return offered.within(most_nanos), reason
    except EdgeError:
        return offered, reason or "max_cost_too_low"


async def _answer(parts: QuoteParts, caller: Caller, *, offered: Offers, reason: Reason | None) -> Quote:
    model, bounds = offered.models[0], offered.asked
    price = model.price
    prompt, answer = bounds.prompt_estimate, min(bounds.limit_tokens, LEAST_OUTPUT_TOKENS) * bounds.answers
    most_nanos = offered.full_nanos
    balance_nanos: int | None = None
    if most_nanos and reason is None:
        balance_nanos, reason = await _afford(parts, caller, most_nanos, least_nanos=offered.least_nanos)
    return Quote(
        model=model.public_name,
        input_tokens_estimate=prompt,
        input_tokens_most=bounds.prompt_tokens,
        output_tokens_most=bounds.output_tokens,
        least_usd=format_usd(cost_nanos((prompt, min(price.input_nanos_per_mtok, price.cached_input_nanos_per_mtok)))),
        likely_usd=format_usd(cost_nanos((prompt, price.input_nanos_per_mtok), (answer, price.output_nanos_per_mtok))),
        most_usd=format_usd(most_nanos),
        balance_usd=None if balance_nanos is None else format_usd(balance_nanos),
        would_pass=reason is None,
        reason=reason,
    )


async def _afford(parts: QuoteParts, caller: Caller, most_nanos: int, *, least_nanos: int) -> tuple[int, Reason | None]:
    """The balance, and what stands against the request: as `AcquireLeases` would judge it, as far as can be seen here.

    Free credit of other workers counts as in use: it would be recalled, but nobody knows how much of it there is.
    """
    account, unspent_nanos = await _ask(parts.billing, caller)
    balance_nanos = account.posted_nanos
    if parts.money.free_nanos(caller.account_id, caller.api_key_id) >= most_nanos:
        return balance_nanos, None
    if balance_nanos < max(least_nanos, FLOOR_NANOS):
        return balance_nanos, "insufficient_credits"
    if unspent_nanos is not None and unspent_nanos < least_nanos:
        return balance_nanos, "key_limit_reached"
    free_nanos = balance_nanos - account.leased_nanos + parts.money.free_nanos(caller.account_id)
    return balance_nanos, "credits_in_use" if free_nanos < least_nanos else None


async def _ask(billing: BillingServiceStub, caller: Caller) -> tuple[billing_pb2.Account, int | None]:
    """The account, and what is left of the key's month, None where that has no limit. EdgeError service_unavailable."""
    about_account = billing_pb2.GetBalanceRequest(account_id=caller.account_id)
    about_key = billing_pb2.BatchGetKeySpendRequest(api_key_ids=[caller.api_key_id])
    try:
        if caller.monthly_limit_nanos is None:
            return (await billing.GetBalance(about_account, timeout=BILLING_TIMEOUT_S)).account, None
        answer, spend = await asyncio.gather(
            billing.GetBalance(about_account, timeout=BILLING_TIMEOUT_S),
            billing.BatchGetKeySpend(about_key, timeout=BILLING_TIMEOUT_S),
        )
    except RemoteError as error:
        raise (not_opened() if error.reason == "ACCOUNT_NOT_FOUND" else from_remote(error)) from error
    charged_nanos = sum(each.charged_nanos for each in spend.key_spends)
    return answer.account, caller.monthly_limit_nanos - charged_nanos
