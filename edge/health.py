"""Is this process alive, and should it get traffic."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from edge.deps import With
from kit.health import is_serving

router = APIRouter(tags=["Health"])

State = Literal["ok", "unavailable"]


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """`ok`: all is well. `degraded`: a service is away, but this process should get traffic. `unavailable`: not."""

    status: Literal["ok", "degraded", "unavailable"]
    dependencies: dict[str, State]


@router.get("/health")
async def health() -> Health:
    """The process is alive."""
    return Health()


@router.get("/health/ready", responses={503: {"model": Readiness}})
async def ready(response: Response, deps: With) -> Readiness:
    """Which dependencies answer; 503 where this process should get no traffic.

    A service that is away is away for every edge: taking them all out of the load balancer would stop those calls too
    that could still be answered. So only what is wrong with this process makes it a 503.
    """
    fit = await deps.is_fit()
    services = {name: await is_serving(channel) for name, channel in deps.clients.channels.items()}
    if not all(fit.values()):
        response.status_code = 503
        status: Literal["ok", "degraded", "unavailable"] = "unavailable"
    else:
        status = "ok" if all(services.values()) else "degraded"
    states: dict[str, State] = {name: "ok" if works else "unavailable" for name, works in (fit | services).items()}
    return Readiness(status=status, dependencies=states)
