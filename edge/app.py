"""The edge as one application for both ports: the hot path as raw ASGI, everything else as FastAPI."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from edge import frame, health
from edge.api import auth, billing, catalogue, keys, own_account, usage
from edge.api.admin import audit, models, plans, price_preview, prices, reports, upstreams, users
from edge.deps import Deps
from edge.openapi import page
from edge.openapi.document import document
from edge.traces import traced
from kit import tracing

API_ROUTERS = (
    auth.router,
    own_account.router,
    keys.router,
    billing.router,
    usage.router,
    catalogue.router,
    users.router,
    models.router,
    prices.router,
    price_preview.router,
    plans.router,
    audit.router,
    reports.router,
    upstreams.router,
    health.router,
)
"""Everything but `/v1` and the pages."""


class Edge(FastAPI):
    """`raw` answers POST requests to its paths and does all for them; `v1` are routers for the rest of `/v1`.

    `pages` gets the requests that no route is for: the dashboard's.

    No middleware: one of Starlette's costs twenty times what a hot request costs, and hides that a client has gone.
    """

    def __init__(self, deps: Deps, *, raw: Mapping[str, ASGIApp], v1: Sequence[APIRouter], pages: ASGIApp) -> None:
        super().__init__(
            version=version("privaterouter"),
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        self.raw = raw
        self._deps = deps
        self.state.deps = deps
        self._routers = (*API_ROUTERS, self._reference(), *v1)
        for router in self._routers:
            self.include_router(router)
        self.router.default = pages
        frame.install_error_handlers(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            hot = self.raw.get(scope["path"]) if scope["method"] == "POST" else None
            answer = hot or self._framed
            if tracing.active is None:
                await answer(scope, receive, send)
            else:
                await traced(tracing.active, answer, scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _framed(self, scope: Scope, receive: Receive, send: Send) -> None:
        await frame.framed(super().__call__, scope, receive, send, ids=self._deps.ids)

    def api_routes(self) -> Iterator[APIRoute]:
        """Every route that FastAPI answers."""
        for router in self._routers:
            for route in router.routes:
                if isinstance(route, APIRoute):
                    yield route

    def openapi(self) -> dict[str, object]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = document(self, self.api_routes())
        return self.openapi_schema

    def _reference(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)

        @router.get("/api/openapi.json")
        async def openapi_json() -> JSONResponse:
            return JSONResponse(self.openapi())

        @router.get("/api/docs")
        async def docs() -> HTMLResponse:
            return page.reference(self.openapi())

        return router
