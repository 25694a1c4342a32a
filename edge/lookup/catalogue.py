"""The catalogue as the edge keeps it: all models, plans and upstreams, in plain frozen objects."""

import asyncio
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from edge.errors import unavailable
from kit.errors import RemoteError
from kit.logs import get_logger
from kit.timestamps import from_proto
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub

_STICKINESS = {catalog_pb2.STICKY_PROMPT_PREFIX: "prompt_prefix", catalog_pb2.STICKY_USER: "user"}
_DIALECTS = {catalog_pb2.DIALECT_RESPONSES: "responses", catalog_pb2.DIALECT_MESSAGES: "messages"}

log = get_logger()


@dataclass(frozen=True, slots=True)
class Price:
    """An immutable price version; nano-dollars for a million tokens."""

    version_id: str
    input_nanos_per_mtok: int
    cached_input_nanos_per_mtok: int
    """As input where the catalogue names none."""
    output_nanos_per_mtok: int
    cache_write_input_nanos_per_mtok: int = 0
    """As input where the catalogue names none."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model is served, and how long a request may take there."""

    upstream_name: str
    upstream_model: str
    weight: int
    position: int
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float = 300.0
    idle_timeout_s: float = 120.0
    total_timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Model:
    """An LLM that is offered; sizes in tokens, as in `catalog.v1.Model`."""

    id: str
    public_name: str
    family: str
    kind: str
    """`chat` or `embedding`."""
    context_tokens: int
    max_output_tokens: int
    dimensions: int
    template_tokens: int
    tools_tokens: int
    image_tokens: int
    price: Price
    routes: tuple[Route, ...]
    """By position."""
    create_time: datetime
    upstream_model: str
    """The model behind it, for people to read."""
    fallback_models: tuple[str, ...] = ()
    """Public names of those that answer in its place when none of its routes can, in this order; offered ones only."""
    sticky: str = ""
    """What keeps requests on the same route: `prompt_prefix`, `user`, or nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an account may use, and how much of it."""

    id: str
    name: str
    monthly_nanos: int
    included_nanos: int
    rpm: int
    all_models: bool
    allowed_models: frozenset[str]
    monthly_quota_tokens: int | None
    position: int
    tpm: int | None = None
    """Tokens a minute over all keys. None: no such limit."""
    max_in_flight: int | None = None
    """Calls that may run at the same time. None: no such limit."""

    def allows(self, public_name: str) -> bool:
        """Whether the plan allows this model."""
        return self.all_models or public_name in self.allowed_models


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server that models are served by."""

    name: str
    kind: str
    """`openai`, `ollama` or `litellm`."""
    base_url: str
    credential: str = field(repr=False)
    virtual_keys: bool = False
    max_in_flight: int = 0
    """Requests that one edge sends it at the same time. 0: no limit."""
    max_queued: int = 0
    """Requests that may wait beyond that; as many as may run where the catalogue names no number."""
    dialects: frozenset[str] = frozenset()
    """Of `responses` and `messages` those that it speaks by itself."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole catalogue at one version. `models` are the offered ones, by public name; `plans` stand by position."""

    version: int
    models: Mapping[str, Model]
    plans: Mapping[str, Plan]
    upstreams: Mapping[str, Upstream]


class Catalogue:
    """The newest snapshot; `refresh` is called by the bus and the poll."""

    def __init__(self, catalog: CatalogServiceStub, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._snapshot: Snapshot | None = None
        self._clock = clock
        self._heard_s = clock()
        self.refreshes = dict.fromkeys(("unchanged", "changed", "failed"), 0)
        """How often catalog was asked for a newer one, by what came of it."""
        self._one_at_a_time = asyncio.Lock()

    def current(self) -> Snapshot:
        """The newest snapshot known. EdgeError service_unavailable until the first one has come."""
        if self._snapshot is None:
            raise unavailable()
        return self._snapshot

    @property
    def version(self) -> int:
        """The version of the newest snapshot; 0 while there is none."""
        return self._snapshot.version if self._snapshot else 0

    @property
    def silent_s(self) -> float:
        """Since catalog last answered, or since the start."""
        return self._clock() - self._heard_s

    async def refresh(self) -> None:
        """Asks for a newer snapshot; an unreachable catalog leaves the present one in force."""
        async with self._one_at_a_time:
            known = self._snapshot.version if self._snapshot else 0
            try:
                answer = await self._catalog.GetCatalog(catalog_pb2.GetCatalogRequest(known_version=known))
            except RemoteError as error:
                self.refreshes["failed"] += 1
                log.warning("catalogue_not_refreshed", known_version=known, error=str(error))
                return
            self._heard_s = self._clock()
            self.refreshes["unchanged" if answer.unchanged else "changed"] += 1
            if not answer.unchanged:
                self._snapshot = unpack(answer)
                log.info("catalogue_refreshed", version=answer.version)


def unpack(answer: catalog_pb2.GetCatalogResponse) -> Snapshot:
    """The snapshot in an answer; disabled models are left out: to callers they do not exist."""
    offered = {model.public_name: model for model in answer.models if model.status == catalog_pb2.MODEL_STATUS_ACTIVE}
    return Snapshot(
        version=answer.version,
        models={public_name: _model(model, offered) for public_name, model in offered.items()},
        plans={plan.id: _plan(plan) for plan in answer.plans},
        upstreams={upstream.name: unpack_upstream(upstream) for upstream in answer.upstreams},
    )


def _model(model: catalog_pb2.Model, offered: Container[str]) -> Model:
    price = model.price
    return Model(
        id=model.id,
        public_name=model.public_name,
        family=model.family,
        kind=_name(catalog_pb2.ModelKind.Name(model.kind), "MODEL_KIND_"),
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        dimensions=model.dimensions,
        template_tokens=model.template_tokens,
        tools_tokens=model.tools_tokens,
        image_tokens=model.image_tokens,
        price=Price(
            version_id=price.version_id,
            input_nanos_per_mtok=price.input_nanos_per_mtok,
            cached_input_nanos_per_mtok=(
                price.cached_input_nanos_per_mtok
                if price.HasField("cached_input_nanos_per_mtok")
                else price.input_nanos_per_mtok
            ),
            output_nanos_per_mtok=price.output_nanos_per_mtok,
            cache_write_input_nanos_per_mtok=(
                price.cache_write_input_nanos_per_mtok
                if price.HasField("cache_write_input_nanos_per_mtok")
                else price.input_nanos_per_mtok
            ),
        ),
        routes=tuple(_route(route) for route in sorted(model.routes, key=lambda route: route.position)),
        create_time=from_proto(model.create_time),
        upstream_model=model.upstream_model,
        fallback_models=tuple(name for name in model.fallback_models if name in offered),
        sticky=_STICKINESS.get(model.sticky, ""),
    )


def _route(route: catalog_pb2.Route) -> Route:
    """The route; an unset timeout has the contract's default."""
    return Route(
        upstream_name=route.upstream_name,
        upstream_model=route.upstream_model,
        weight=max(route.weight, 1),
        position=route.position,
        connect_timeout_s=(route.connect_timeout_ms or 5_000) / 1_000,
        first_byte_timeout_s=(route.first_byte_timeout_ms or 300_000) / 1_000,
        idle_timeout_s=(route.idle_timeout_ms or 120_000) / 1_000,
        total_timeout_s=(route.total_timeout_ms or 3_600_000) / 1_000,
    )


def _plan(plan: catalog_pb2.Plan) -> Plan:
    quota = plan.monthly_quota_tokens if plan.HasField("monthly_quota_tokens") else None
    return Plan(
        id=plan.id,
        name=plan.name,
        monthly_nanos=plan.monthly_nanos,
        included_nanos=plan.included_nanos,
        rpm=plan.rpm,
        all_models=plan.all_models,
        allowed_models=frozenset(plan.allowed_models),
        monthly_quota_tokens=quota,
        position=plan.position,
        tpm=plan.tpm if plan.HasField("tpm") else None,
        max_in_flight=plan.max_in_flight if plan.HasField("max_in_flight") else None,
    )


def unpack_upstream(upstream: catalog_pb2.Upstream) -> Upstream:
    """The upstream in an answer."""
    return Upstream(
        name=upstream.name,
        kind=_name(catalog_pb2.UpstreamKind.Name(upstream.kind), "UPSTREAM_KIND_"),
        base_url=upstream.base_url,
        credential=upstream.credential,
        virtual_keys=upstream.virtual_keys,
        max_in_flight=upstream.max_in_flight,
        max_queued=upstream.max_queued or upstream.max_in_flight,
        dialects=frozenset(_DIALECTS[dialect] for dialect in upstream.dialects if dialect in _DIALECTS),
    )


def _name(enum_name: str, prefix: str) -> str:
    return enum_name.removeprefix(prefix).lower()
