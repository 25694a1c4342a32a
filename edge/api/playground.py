"""The dashboard's playground: a chat completion that somebody who is logged in asks for as one of their API keys."""

from typing import Final

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from edge.api.session import is_json, signed_in
from edge.api.wire import identifier
from edge.deps import Deps
from edge.errors import EdgeError, from_remote
from edge.frame import HEADERS
from edge.lookup.api_keys import refusal, unpack
from edge.lookup.callers import Caller
from edge.v1.endpoints import CHAT
from edge.v1.headers import Headers
from edge.v1.inference import Inference
from kit.errors import RemoteError
from privaterouter.auth.v1 import auth_pb2 as pb

PATH: Final = "/api/playground/chat/completions"


async def answer(deps: Deps, inference: Inference, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one request as `/v1/chat/completions` would answer the API key; only who calls is found out as in `/api`.

    Raw ASGI like the hot path: a FastAPI route would hide that the client has gone.
    """
    request, response = Request(scope), Response()

    async def identify(_: Headers) -> Caller:
        try:
            return await _caller(request, response, deps)
        except RemoteError as error:
            raise from_remote(error) from error

    async def send_as_api(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            for cookie in response.headers.getlist("set-cookie"):
                headers.append("set-cookie", cookie)
        await send(message)

    await inference(CHAT, scope, receive, send_as_api, identify=identify)


async def _caller(request: Request, response: Response, deps: Deps) -> Caller:
    """The session's key that the query names, asked for anew at each call: there is no cache that could be behind.

    EdgeError as `signed_in`, and `api_key_not_found`, `api_key_inactive`. Never a 401 for the key: the session is fine.
    """
    login = await signed_in(request, response, deps)
    if not is_json(request):
        raise EdgeError("unsupported_media_type", "Send the body as `Content-Type: application/json`.")
    if [name for name, _ in request.query_params.multi_items()] != ["key_id"]:
        raise EdgeError(
            "invalid_parameter", "The query must be `key_id` alone: the id of one of your API keys.", param="key_id"
        )
    api_key_id = identifier(request.query_params["key_id"], code="api_key_not_found", what="API key")
    asked = pb.ResolveApiKeyByIdRequest(user_id=login.user.id, api_key_id=api_key_id)
    resolved = (await deps.clients.auth.ResolveApiKeyById(asked)).resolved
    if resolved.outcome != pb.RESOLVE_OUTCOME_ACTIVE:
        raise refusal(resolved.outcome, "api_key_inactive")
    return unpack(resolved)
