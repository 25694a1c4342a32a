"""What `/v1` answers beside inference: the list of models, and a clear no to the rest."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from edge.errors import EdgeError
from edge.lookup.catalogue import Model
from edge.v1.callers import Callers, allowed_models, find_model

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]


class ModelObject(BaseModel):
    """A model as OpenAI shows it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["privaterouter"] = "privaterouter"


class ModelList(BaseModel):
    """The answer of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


def models_router(callers: Callers) -> APIRouter:
    """`GET /v1/models`, `GET /v1/models/{id}`, and 404 for what is not supported. Include it last under `/v1`."""
    router = APIRouter(prefix="/v1", tags=["models"])

    @router.get("/models", summary="List the models that your key may use")
    async def list_models(request: Request) -> ModelList:
        caller = await callers.identify(request.scope["headers"])
        plan, snapshot = await callers.plan_of(caller)
        return ModelList(data=[_show(model) for model in allowed_models(caller, plan, snapshot)])

    @router.get("/models/{model_id:path}", summary="One model; its id contains a slash")
    async def get_model(model_id: str, request: Request) -> ModelObject:
        caller = await callers.identify(request.scope["headers"])
        plan, snapshot = await callers.plan_of(caller)
        return _show(find_model(model_id, caller=caller, plan=plan, snapshot=snapshot))

    @router.api_route("/{path:path}", methods=_METHODS, include_in_schema=False)
    async def not_supported(path: str, request: Request) -> Mapping[str, object]:
        raise EdgeError(
            "endpoint_not_supported",
            f"{request.method} /v1/{path[:100]} is not supported here. See /api/docs for what is.",
        )

    return router


def _show(model: Model) -> ModelObject:
    return ModelObject(id=model.public_name, created=int(model.create_time.timestamp()))
