"""`POST /v1/messages/count_tokens`: our estimate of a prompt's tokens, in Anthropic's shape."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from edge.dialects.errors import anthropic_error_body
from edge.dialects.messages_inputs import read_messages
from edge.dialects.messages_request import count_tokens
from edge.errors import EdgeError
from edge.limits.rates import Rates
from edge.v1.callers import Callers, find_model
from edge.v1.denied import refuse_denied
from edge.v1.envelope import read_request
from edge.v1.limiting import refused, show_limits
from edge.v1.requests import ClientGone, read_body
from edge.v1.values import check_values

MAX_BODY_BYTES = 32 * 1024 * 1024

_BODY = {
    "description": "As for `/v1/messages`; `max_tokens` may be left out.",
    "required": True,
    "content": {
        "application/json": {
            "schema": {"type": "object"},
            "example": {"model": "privaterouter/fast", "messages": [{"role": "user", "content": "Say hi."}]},
        }
    },
}


class TokenCount(BaseModel):
    """What a prompt counts."""

    input_tokens: int = Field(description="Our estimate: a fifth of the bytes, and the model's constants.")


def counting_router(callers: Callers, rates: Rates, *, max_body_bytes: int = MAX_BODY_BYTES) -> APIRouter:
    """`POST /v1/messages/count_tokens`. Include it before the rest of `/v1`."""
    router = APIRouter(prefix="/v1", tags=["Inference"])

    @router.post(
        "/messages/count_tokens",
        summary="How many tokens a prompt has",
        description="Nothing runs and nothing is charged; it counts as one of your requests a minute.",
        response_model=TokenCount,
        openapi_extra={"requestBody": _BODY},
    )
    async def count(request: Request) -> Response:
        shown: dict[str, str] = {}
        try:
            counted = await _count(request, callers, rates=rates, shown=shown, most=max_body_bytes)
        except ClientGone:
            return Response()
        except EdgeError as error:
            return _json(anthropic_error_body(error), shown | error.headers, status=error.status)
        return _json(counted.model_dump_json().encode(), shown, status=200)

    return router


async def _count(request: Request, callers: Callers, *, rates: Rates, shown: dict[str, str], most: int) -> TokenCount:
    headers = request.scope["headers"]
    caller = await callers.identify(headers)
    body = await read_body(headers, request.receive, most=most)
    fields = read_request(body).raw
    refuse_denied(fields)
    check_values(fields)
    asked, _ = read_messages(body, counts_only=True)
    plan, snapshot = await callers.plan_of(caller)
    model = find_model(asked.model, caller=caller, plan=plan, snapshot=snapshot)
    if model.kind != "chat":
        raise EdgeError("invalid_body", f"{model.public_name!r} is no model for /v1/messages.", param="model")
    tokens = count_tokens(body, model)
    admission = await rates.count(caller, plan)
    show_limits(shown, admission)
    if admission.refusal is not None:
        raise refused(admission.refusal)
    return TokenCount(input_tokens=tokens)


def _json(body: bytes, headers: dict[str, str], *, status: int) -> Response:
    return Response(body, status, headers, media_type="application/json")
