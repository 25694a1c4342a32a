"""Between the contract's messages and auth's values; what can't be expressed there is refused here."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from kit import timestamps
from kit.audit_log import AuditEvent
from kit.errors import InvalidArgument
from privaterouter.audit.v1 import audit_pb2
from privaterouter.auth.v1 import auth_pb2 as pb
from services.auth.api_keys import Outcome, Resolved
from services.auth.rows import ApiKey, KeySettings, Revocation, Role, Session, Status, User
from services.auth.users import Changes, check_name

_ROLES: dict[pb.UserRole.ValueType, Role] = {pb.USER_ROLE_USER: "user", pb.USER_ROLE_ADMIN: "admin"}
_USER_STATUSES: dict[pb.UserStatus.ValueType, Status] = {
    pb.USER_STATUS_ACTIVE: "active",
    pb.USER_STATUS_DISABLED: "disabled",
}
_KEY_STATUSES: dict[pb.ApiKeyStatus.ValueType, Status] = {
    pb.API_KEY_STATUS_ACTIVE: "active",
    pb.API_KEY_STATUS_DISABLED: "disabled",
}
_ROLE_NUMBERS = {text: number for number, text in _ROLES.items()}
_USER_STATUS_NUMBERS = {text: number for number, text in _USER_STATUSES.items()}
_KEY_STATUS_NUMBERS = {text: number for number, text in _KEY_STATUSES.items()}
_OUTCOME_NUMBERS = {
    Outcome.ACTIVE: pb.RESOLVE_OUTCOME_ACTIVE,
    Outcome.UNKNOWN: pb.RESOLVE_OUTCOME_UNKNOWN,
    Outcome.DISABLED: pb.RESOLVE_OUTCOME_DISABLED,
    Outcome.EXPIRED: pb.RESOLVE_OUTCOME_EXPIRED,
    Outcome.OWNER_DISABLED: pb.RESOLVE_OUTCOME_OWNER_DISABLED,
}


def role(number: pb.UserRole.ValueType) -> Role:
    """The role; InvalidArgument where it is unset or unknown."""
    if number not in _ROLES:
        raise InvalidArgument("role must be user or admin", field="role")
    return _ROLES[number]


def user_changes(message: pb.User, fields: frozenset[str]) -> Changes:
    """The named fields of a user; InvalidArgument for an unset or unknown role or status, or a bad name."""
    if "name" in fields:
        check_name(message.name)
    if "status" in fields and message.status not in _USER_STATUSES:
        raise InvalidArgument("status must be active or disabled", field="status")
    return Changes(
        name=message.name if "name" in fields else None,
        role=role(message.role) if "role" in fields else None,
        status=_USER_STATUSES[message.status] if "status" in fields else None,
    )


def key_settings(message: pb.CreateApiKeyRequest | pb.ApiKey) -> KeySettings:
    """What the owner chose; an unset status is active. InvalidArgument for an unknown status or impossible time."""
    status = message.status or pb.API_KEY_STATUS_ACTIVE
    if status not in _KEY_STATUSES:
        raise InvalidArgument("status must be active or disabled", field="status")
    return KeySettings(
        name=message.name,
        status=_KEY_STATUSES[status],
        monthly_limit_nanos=message.monthly_limit_nanos if message.HasField("monthly_limit_nanos") else None,
        allowed_models=tuple(sorted(set(message.allowed_models))),
        rpm_limit=message.rpm_limit if message.HasField("rpm_limit") else None,
        expire_time=time(message.expire_time, "expire_time") if message.HasField("expire_time") else None,
        tpm_limit=message.tpm_limit if message.HasField("tpm_limit") else None,
        max_in_flight=message.max_in_flight if message.HasField("max_in_flight") else None,
        keeps_answers=message.keeps_answers,
    )


def time(message: Timestamp, field: str) -> datetime:
    """The time; InvalidArgument where no calendar has it."""
    try:
        return timestamps.from_proto(message)
    except OverflowError:
        raise InvalidArgument(f"{field} is not a time between the years 1 and 9999", field=field) from None


def user_message(user: User) -> pb.User:
    """The user as callers see it."""
    return pb.User(
        id=str(user.id),
        email=user.email,
        name=user.name,
        role=_ROLE_NUMBERS[user.role],
        status=_USER_STATUS_NUMBERS[user.status],
        create_time=timestamps.to_proto(user.create_time),
    )


def session_message(session: Session) -> pb.Session:
    """The session as callers see it."""
    return pb.Session(
        id=str(session.id),
        user_id=str(session.user_id),
        create_time=timestamps.to_proto(session.create_time),
        expire_time=timestamps.to_proto(session.expire_time),
        user_agent=session.user_agent,
    )


def api_key_message(api_key: ApiKey) -> pb.ApiKey:
    """The key as callers see it, limits left unset where there are none."""
    settings = api_key.settings
    return pb.ApiKey(
        id=str(api_key.id),
        user_id=str(api_key.user_id),
        name=settings.name,
        key_prefix=api_key.key_prefix,
        status=_KEY_STATUS_NUMBERS[settings.status],
        monthly_limit_nanos=settings.monthly_limit_nanos,
        allowed_models=settings.allowed_models,
        rpm_limit=settings.rpm_limit,
        expire_time=timestamps.to_proto(settings.expire_time) if settings.expire_time else None,
        last_use_time=timestamps.to_proto(api_key.last_use_time) if api_key.last_use_time else None,
        create_time=timestamps.to_proto(api_key.create_time),
        tpm_limit=settings.tpm_limit,
        max_in_flight=settings.max_in_flight,
        keeps_answers=settings.keeps_answers,
    )


def resolved_message(resolved: Resolved, *, virtual_key: str) -> pb.ResolvedApiKey:
    """What a secret, or a key named by its id, turned out to be."""
    outcome = _OUTCOME_NUMBERS[resolved.outcome]
    if resolved.api_key is None:
        return pb.ResolvedApiKey(outcome=outcome)
    return pb.ResolvedApiKey(
        outcome=outcome,
        api_key=api_key_message(resolved.api_key),
        account_id=str(resolved.api_key.user_id),
        virtual_key=virtual_key,
    )


def revocation_message(revocation: Revocation) -> pb.Revocation:
    """What caches must drop."""
    return pb.Revocation(
        sequence=revocation.sequence,
        api_key_id=str(revocation.api_key_id) if revocation.api_key_id else "",
        user_id=str(revocation.user_id),
    )


def audit_event_message(event: AuditEvent) -> audit_pb2.AuditEvent:
    """The event as callers see it."""
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
