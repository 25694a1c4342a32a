"""What billing asks the catalogue: a plan's name and its included credits."""

from dataclasses import dataclass

import grpc

from kit.errors import RemoteError, Unavailable
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from services.billing.errors import PlanNotFound

_UNKNOWN = ("catalog.privaterouter", "PLAN_NOT_FOUND")


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as far as money is concerned."""

    id: str
    name: str
    included_nanos: int


class Plans:
    """The catalogue's plans, asked for one by one: always before a transaction, never inside."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._catalog = CatalogServiceStub(channel)

    async def get(self, plan_id: str) -> Plan:
        """The plan; PlanNotFound where there is none, Unavailable where the catalogue does not answer."""
        try:
            answer = await self._catalog.GetPlan(catalog_pb2.GetPlanRequest(plan_id=plan_id))
        except RemoteError as error:
            if (error.domain, error.reason) == _UNKNOWN:
                raise PlanNotFound(f"there is no plan {plan_id!r}") from error
            raise Unavailable("the catalogue cannot be asked for the plan") from error
        return Plan(id=answer.plan.id, name=answer.plan.name, included_nanos=answer.plan.included_nanos)
