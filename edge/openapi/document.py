"""Puts the OpenAPI document together: FastAPI's part, the hot path's part, errors, and who may call what."""

from collections.abc import Iterable
from typing import cast

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from edge.api import playground
from edge.api.session import COOKIE, signed_in
from edge.errors import TABLE
from edge.openapi import inference

Json = dict[str, object]

SCHEMES: Json = {
    "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-pr-...", "description": "For `/v1` only."},
    "session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "For `/api` only."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "The session, for browsers."},
}
ERROR_SCHEMA: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "What to do next, for people."},
                "type": {"type": "string", "enum": sorted({kind for _, kind in TABLE.values()})},
                "param": {"type": ["string", "null"], "description": "The field that is meant."},
                "code": {"type": "string", "enum": sorted(TABLE)},
            },
        }
    },
}
ERROR: Json = {
    "description": "What went wrong, and what to do next.",
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/Error"},
            "example": {
                "error": {
                    "message": "Log in first.",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "invalid_session",
                }
            },
        }
    },
}


def document(app: FastAPI, routes: Iterable[APIRoute]) -> Json:
    """The whole document. `routes` are those of the application, to see which need a session."""
    made = cast(
        Json,
        get_openapi(
            title="PrivateRouter",
            version=app.version,
            description=_description(),
            routes=app.routes,
            separate_input_output_schemas=False,
        ),
    )
    paths = cast(dict[str, dict[str, Json]], made["paths"])
    paths.update(cast(dict[str, dict[str, Json]], inference.paths()))
    with_session = {(playground.PATH, "post")} | {
        (route.path_format, method.lower())
        for route in routes
        if _needs(route.dependant)
        for method in route.methods or ()
    }
    for path, item in paths.items():
        for method, operation in item.items():
            if path.startswith("/v1/"):
                operation["security"] = [{"apiKey": []}]
            elif (path, method) in with_session:
                operation["security"] = [{"session": []}, {"cookie": []}]
            responses = cast(Json, operation["responses"])
            responses.pop("422", None)
            responses["default"] = {"$ref": "#/components/responses/Error"}
    components = cast(dict[str, Json], made.setdefault("components", {}))
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Error"] = ERROR_SCHEMA
    components["responses"] = {"Error": ERROR}
    components["securitySchemes"] = SCHEMES
    return made


def _needs(dependant: Dependant) -> bool:
    return dependant.call is signed_in or any(_needs(inner) for inner in dependant.dependencies)


def _description() -> str:
    rows = "\n".join(f"| {status} | `{kind}` | `{code}` |" for code, (status, kind) in sorted(TABLE.items()))
    return (
        "An OpenAI-compatible API under `/v1`, called with API keys, and an API for accounts, keys, credits and usage "
        "under `/api`, called with sessions. Amounts are decimal strings in US dollars, times are UTC.\n\n"
        'Every failure is `{"error": {"message", "type", "param", "code"}}`; programs should look at `code`:\n\n'
        f"| HTTP | type | code |\n|---|---|---|\n{rows}\n"
    )
