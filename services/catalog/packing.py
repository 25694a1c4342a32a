"""Between the contract's messages and the catalogue's values; what can't be expressed there is refused here."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from kit import timestamps
from kit.audit_log import AuditEvent
from privaterouter.audit.v1 import audit_pb2
from privaterouter.catalog.v1 import catalog_pb2 as pb
from services.catalog.errors import InvalidPrice, InvalidValue
from services.catalog.prices import Rates
from services.catalog.rows import Dialect, Model, ModelKind, ModelStatus, Plan, Price, Route, Sticky, UpstreamKind
from services.catalog.upstreams import OpenUpstream

KINDS = {pb.MODEL_KIND_CHAT: ModelKind.CHAT, pb.MODEL_KIND_EMBEDDING: ModelKind.EMBEDDING}
STATUSES = {pb.MODEL_STATUS_ACTIVE: ModelStatus.ACTIVE, pb.MODEL_STATUS_DISABLED: ModelStatus.DISABLED}
UPSTREAM_KINDS = {
    pb.UPSTREAM_KIND_OPENAI: UpstreamKind.OPENAI,
    pb.UPSTREAM_KIND_OLLAMA: UpstreamKind.OLLAMA,
    pb.UPSTREAM_KIND_LITELLM: UpstreamKind.LITELLM,
}
STICKINESS = {
    pb.STICKY_UNSPECIFIED: Sticky.NONE,
    pb.STICKY_PROMPT_PREFIX: Sticky.PROMPT_PREFIX,
    pb.STICKY_USER: Sticky.USER,
}
DIALECTS = {pb.DIALECT_RESPONSES: Dialect.RESPONSES, pb.DIALECT_MESSAGES: Dialect.MESSAGES}
_KIND_NUMBERS = {value: number for number, value in KINDS.items()}
_STATUS_NUMBERS = {value: number for number, value in STATUSES.items()}
_UPSTREAM_KIND_NUMBERS = {value: number for number, value in UPSTREAM_KINDS.items()}
_STICKY_NUMBERS = {value: number for number, value in STICKINESS.items()}
_DIALECT_NUMBERS = {value: number for number, value in DIALECTS.items()}

Ids = Callable[[], UUID]
"""Makes UUIDv7s."""


def rates(message: pb.Price) -> Rates:
    """The rates of a price; its version and time are not ours to read."""
    cached = message.cached_input_nanos_per_mtok if message.HasField("cached_input_nanos_per_mtok") else None
    writes = message.HasField("cache_write_input_nanos_per_mtok")
    return Rates(
        input_nanos_per_mtok=message.input_nanos_per_mtok,
        cached_input_nanos_per_mtok=cached,
        cache_write_input_nanos_per_mtok=message.cache_write_input_nanos_per_mtok if writes else None,
        output_nanos_per_mtok=message.output_nanos_per_mtok,
    )


def new_model(message: pb.Model, *, ids: Ids, now: datetime) -> Model:
    """A model to create. InvalidPrice where it has no price, InvalidValue where kind or status is unknown."""
    if not message.HasField("price"):
        raise InvalidPrice("a new model needs a price", field="price")
    if message.kind not in KINDS:
        raise InvalidValue("kind must be chat or embedding", field="kind")
    priced = rates(message.price)
    priced.check()
    return Model(
        id=ids(),
        public_name=message.public_name,
        family=message.family,
        kind=KINDS[message.kind],
        status=status(message.status or pb.MODEL_STATUS_ACTIVE),
        context_tokens=message.context_tokens,
        max_output_tokens=message.max_output_tokens,
        dimensions=message.dimensions,
        template_tokens=message.template_tokens,
        tools_tokens=message.tools_tokens,
        image_tokens=message.image_tokens,
        upstream_model=message.upstream_model,
        create_time=now,
        price=priced.version(ids(), now),
        routes=routes(message.routes),
        fallback_models=tuple(message.fallback_models),
        sticky=sticky(message.sticky),
    )


def changed_model(old: Model, message: pb.Model, *, fields: Collection[str]) -> Model:
    """The model with these fields of the message. InvalidValue where one is no value."""
    values = {field: getattr(message, field) for field in fields}
    if "status" in values:
        values["status"] = status(message.status)
    if "routes" in values:
        values["routes"] = routes(message.routes)
    if "fallback_models" in values:
        values["fallback_models"] = tuple(message.fallback_models)
    if "sticky" in values:
        values["sticky"] = sticky(message.sticky)
    return replace(old, **values)


def changed_plan(old: Plan, message: pb.Plan, *, fields: Collection[str]) -> Plan:
    """The plan with these fields of the message; a limit that is unset there is taken away."""
    values = {field: getattr(message, field) for field in fields}
    if "allowed_models" in values:
        values["allowed_models"] = tuple(sorted(set(message.allowed_models)))
    unset = {"monthly_quota_tokens", "tpm", "max_in_flight"} - {field.name for field, _ in message.ListFields()}
    return replace(old, **values | dict.fromkeys(unset.intersection(fields)))


def status(number: pb.ModelStatus.ValueType) -> ModelStatus:
    """A status, or InvalidValue."""
    if number not in STATUSES:
        raise InvalidValue("status must be active or disabled", field="status")
    return STATUSES[number]


def sticky(number: pb.Sticky.ValueType) -> Sticky:
    """What keeps requests together, or InvalidValue."""
    if number not in STICKINESS:
        raise InvalidValue("sticky must be prompt_prefix, user or nothing", field="sticky")
    return STICKINESS[number]


def routes(messages: Iterable[pb.Route]) -> tuple[Route, ...]:
    """Routes in their stored order, by position; an unset weight is 1."""
    found = [
        Route(
            upstream_name=message.upstream_name,
            upstream_model=message.upstream_model,
            weight=message.weight or 1,
            position=message.position,
            connect_timeout_ms=message.connect_timeout_ms,
            first_byte_timeout_ms=message.first_byte_timeout_ms,
            idle_timeout_ms=message.idle_timeout_ms,
            total_timeout_ms=message.total_timeout_ms,
        )
        for message in messages
    ]
    return tuple(sorted(found, key=lambda route: (route.position, route.upstream_name, route.upstream_model)))


def upstream(message: pb.Upstream) -> OpenUpstream:
    """An upstream to store; InvalidValue where its kind or a dialect is unknown."""
    if message.kind not in UPSTREAM_KINDS:
        raise InvalidValue("kind must be openai, ollama or litellm", field="kind")
    if not set(message.dialects) <= DIALECTS.keys():
        raise InvalidValue("dialects must be some of: messages, responses", field="dialects")
    return OpenUpstream(
        name=message.name,
        kind=UPSTREAM_KINDS[message.kind],
        base_url=message.base_url,
        credential=message.credential,
        virtual_keys=message.virtual_keys,
        max_in_flight=message.max_in_flight,
        max_queued=message.max_queued,
        dialects=tuple(sorted({DIALECTS[dialect] for dialect in message.dialects})),
    )


def model_message(model: Model) -> pb.Model:
    """A model for callers."""
    return pb.Model(
        id=str(model.id),
        public_name=model.public_name,
        family=model.family,
        kind=_KIND_NUMBERS[model.kind],
        status=_STATUS_NUMBERS[model.status],
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        dimensions=model.dimensions,
        template_tokens=model.template_tokens,
        tools_tokens=model.tools_tokens,
        image_tokens=model.image_tokens,
        upstream_model=model.upstream_model,
        create_time=timestamps.to_proto(model.create_time),
        price=price_message(model.price),
        routes=[
            pb.Route(
                upstream_name=route.upstream_name,
                upstream_model=route.upstream_model,
                weight=route.weight,
                position=route.position,
                connect_timeout_ms=route.connect_timeout_ms,
                first_byte_timeout_ms=route.first_byte_timeout_ms,
                idle_timeout_ms=route.idle_timeout_ms,
                total_timeout_ms=route.total_timeout_ms,
            )
            for route in model.routes
        ],
        fallback_models=model.fallback_models,
        sticky=_STICKY_NUMBERS[model.sticky],
    )


def price_message(price: Price) -> pb.Price:
    """A price version for callers."""
    return pb.Price(
        version_id=str(price.version_id),
        input_nanos_per_mtok=price.input_nanos_per_mtok,
        cached_input_nanos_per_mtok=price.cached_input_nanos_per_mtok,
        cache_write_input_nanos_per_mtok=price.cache_write_input_nanos_per_mtok,
        output_nanos_per_mtok=price.output_nanos_per_mtok,
        effective_time=timestamps.to_proto(price.effective_time),
    )


def plan_message(plan: Plan) -> pb.Plan:
    """A plan for callers."""
    return pb.Plan(
        id=plan.id,
        name=plan.name,
        monthly_nanos=plan.monthly_nanos,
        included_nanos=plan.included_nanos,
        rpm=plan.rpm,
        all_models=plan.all_models,
        allowed_models=plan.allowed_models,
        monthly_quota_tokens=plan.monthly_quota_tokens,
        position=plan.position,
        tpm=plan.tpm,
        max_in_flight=plan.max_in_flight,
    )


def upstream_message(upstream: OpenUpstream) -> pb.Upstream:
    """An upstream for callers, with its credential."""
    return pb.Upstream(
        name=upstream.name,
        kind=_UPSTREAM_KIND_NUMBERS[upstream.kind],
        base_url=upstream.base_url,
        credential=upstream.credential,
        virtual_keys=upstream.virtual_keys,
        max_in_flight=upstream.max_in_flight,
        max_queued=upstream.max_queued,
        dialects=[_DIALECT_NUMBERS[dialect] for dialect in upstream.dialects],
    )


def audit_event_message(event: AuditEvent) -> audit_pb2.AuditEvent:
    """An event of the audit log for callers."""
    return audit_pb2.AuditEvent(
        id=str(event.id),
        create_time=timestamps.to_proto(event.create_time),
        actor_id=str(event.actor_id or ""),
        action=event.action,
        subject_kind=event.subject_kind,
        subject_id=event.subject_id,
        reason=event.reason,
        details={field: audit_pb2.AuditChange(old=one.old, new=one.new) for field, one in event.details.items()},
    )
