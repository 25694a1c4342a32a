"""The catalogue's RPCs: unpack, one transaction, pack; the snapshot is kept in memory by its version."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kit import audit_log
from kit.audit_log import Act
from kit.bus import Bus
from kit.clock import Clock
from kit.database import Connection, Database
from kit.ids import IdFactory, parse_uuid
from kit.interceptors import Context
from kit.paging import page
from privaterouter.catalog.v1 import catalog_pb2 as pb
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceServicer
from services.catalog import audit, checks, models, packing, plans, prices, store, store_models, upstreams
from services.catalog.errors import InvalidPrice, PlanNotFound

TOPIC = "catalog"
"""Bus topic of a new version: `{"version": "<number>"}`."""
MOST_PRICES = 1_000

ChangeRequest = (
    pb.CreateModelRequest
    | pb.UpdateModelRequest
    | pb.SetModelPriceRequest
    | pb.UpdatePlanRequest
    | pb.SetUpstreamRequest
)


@asynccontextmanager
async def changing(database: Database, bus: Bus) -> AsyncIterator[Connection]:
    """A transaction that has the catalogue to itself, announced after the commit where it changed anything."""
    async with database.transaction() as connection:
        before = await store.locked_version(connection)
        yield connection
        after = await store.version(connection)
    if after != before:
        await bus.publish(TOPIC, {"version": str(after)})


class CatalogServicer(CatalogServiceServicer):
    """privaterouter.catalog.v1.CatalogService."""

    def __init__(
        self, database: Database, *, bus: Bus, credentials: upstreams.Credentials, clock: Clock, ids: IdFactory
    ) -> None:
        self._database = database
        self._bus = bus
        self._credentials = credentials
        self._clock = clock
        self._ids = ids
        self._newest = pb.GetCatalogResponse()
        self._loading = asyncio.Lock()

    async def GetCatalog(self, request: pb.GetCatalogRequest, context: Context) -> pb.GetCatalogResponse:
        snapshot = await self._snapshot()
        if request.known_version == snapshot.version:
            return pb.GetCatalogResponse(version=snapshot.version, unchanged=True)
        return snapshot

    async def GetPlan(self, request: pb.GetPlanRequest, context: Context) -> pb.GetPlanResponse:
        for plan in (await self._snapshot()).plans:
            if plan.id == request.plan_id:
                return pb.GetPlanResponse(plan=plan)
        raise PlanNotFound(f"there is no plan {request.plan_id!r}")

    async def CreateModel(self, request: pb.CreateModelRequest, context: Context) -> pb.CreateModelResponse:
        new = packing.new_model(request.model, ids=self._ids, now=self._clock())
        async with changing(self._database, self._bus) as connection:
            model = await models.create(connection, new)
            await audit.note_model(connection, self._act(request), "created", old=None, new=model)
        return pb.CreateModelResponse(model=packing.model_message(model))

    async def UpdateModel(self, request: pb.UpdateModelRequest, context: Context) -> pb.UpdateModelResponse:
        fields = checks.mask(request.update_mask.paths, allowed=models.CHANGEABLE)
        async with changing(self._database, self._bus) as connection:
            old = await models.get(connection, request.model.public_name)
            model = await models.change(connection, old, new=packing.changed_model(old, request.model, fields=fields))
            await audit.note_model(connection, self._act(request), "updated", old=old, new=model)
        return pb.UpdateModelResponse(model=packing.model_message(model))

    async def SetModelPrice(self, request: pb.SetModelPriceRequest, context: Context) -> pb.SetModelPriceResponse:
        if not request.HasField("price"):
            raise InvalidPrice("a price is needed", field="price")
        rates = packing.rates(request.price)
        async with changing(self._database, self._bus) as connection:
            old = await models.get(connection, request.public_name)
            model = await prices.set_price(connection, old, rates=rates, version_id=self._ids(), now=self._clock())
            await audit.note_model(connection, self._act(request), "price_changed", old=old, new=model)
        return pb.SetModelPriceResponse(model=packing.model_message(model))

    async def ListModelPrices(self, request: pb.ListModelPricesRequest, context: Context) -> pb.ListModelPricesResponse:
        async with self._database.reader() as connection:
            model = await models.get(connection, request.public_name)
            versions = await store_models.prices(connection, model.id, limit=MOST_PRICES)
        return pb.ListModelPricesResponse(
            prices=map(packing.price_message, versions), current_version_id=str(model.price.version_id)
        )

    async def UpdatePlan(self, request: pb.UpdatePlanRequest, context: Context) -> pb.UpdatePlanResponse:
        fields = checks.mask(request.update_mask.paths, allowed=plans.CHANGEABLE)
        async with changing(self._database, self._bus) as connection:
            old = await plans.get(connection, request.plan.id)
            plan = await plans.change(connection, old, new=packing.changed_plan(old, request.plan, fields=fields))
            await audit.note_plan(connection, self._act(request), old=old, new=plan)
        return pb.UpdatePlanResponse(plan=packing.plan_message(plan))

    async def SetUpstream(self, request: pb.SetUpstreamRequest, context: Context) -> pb.SetUpstreamResponse:
        wanted = upstreams.sound(packing.upstream(request.upstream))
        async with changing(self._database, self._bus) as connection:
            old = await upstreams.find(connection, wanted.name, credentials=self._credentials)
            if request.keep_credential:
                wanted = upstreams.keep_credential(wanted, old)
            stored = await upstreams.put(connection, wanted, old=old, credentials=self._credentials)
            await audit.note_upstream(connection, self._act(request), old=old, new=stored)
        return pb.SetUpstreamResponse(upstream=packing.upstream_message(stored))

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: Context) -> pb.ListAuditEventsResponse:
        wanted = page(request.limit, request.offset, maximum=audit_log.MAX_LIMIT)
        actor_id = parse_uuid(request.actor_id, "actor_id") if request.actor_id else None
        for field, value in (("subject_id", request.subject_id), ("action", request.action)):
            checks.text(field, value, least=0, most=254)
        async with self._database.reader() as connection:
            found, total = await audit_log.events_page(
                connection,
                audit.SCHEMA,
                wanted,
                actor_id=actor_id,
                subject_id=request.subject_id,
                action=request.action,
            )
        return pb.ListAuditEventsResponse(events=map(packing.audit_event_message, found), total=total)

    def _act(self, request: ChangeRequest) -> Act:
        """Who asks for a change, and why; made within the transaction, so that events sort as the changes do."""
        return audit_log.act(request.actor_id, request.reason, event_id=self._ids(), now=self._clock())

    async def _snapshot(self) -> pb.GetCatalogResponse:
        """The newest snapshot; one number is read where the kept one is it. Callers must not change it."""
        async with self._loading, self._database.reader() as connection:
            if await store.version(connection) != self._newest.version:
                self._newest = self._pack(await store.snapshot(connection))
            return self._newest

    def _pack(self, snapshot: store.Snapshot) -> pb.GetCatalogResponse:
        return pb.GetCatalogResponse(
            version=snapshot.version,
            models=[packing.model_message(model) for model in snapshot.models],
            plans=[packing.plan_message(plan) for plan in snapshot.plans],
            upstreams=[packing.upstream_message(self._credentials.open(upstream)) for upstream in snapshot.upstreams],
        )
