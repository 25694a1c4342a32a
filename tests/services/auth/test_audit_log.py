"""What auth writes into its audit log, and that it does so with the act or not at all."""

from typing import Any

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kit import timestamps
from kit.ids import parse_uuid
from privaterouter.audit.v1.audit_pb2 import AuditChange, AuditEvent
from privaterouter.auth.v1 import auth_pb2 as pb
from tests.services.auth.conftest import NOW, PASSWORD, Auth, refusal
from tests.support.databases import Databases

ADMIN = "00000000-0000-7000-8000-00000000000a"


async def events(auth: Auth, **filters: Any) -> list[AuditEvent]:
    return list((await auth.stub.ListAuditEvents(pb.ListAuditEventsRequest(**filters))).events)


async def told(auth: Auth, **filters: Any) -> list[tuple[str, str, dict[str, tuple[str, str]]]]:
    """Action, actor and details of each event, newest first; an unset side of a change is empty."""
    return [
        (event.action, event.actor_id, {field: (one.old, one.new) for field, one in event.details.items()})
        for event in await events(auth, **filters)
    ]


async def update(auth: Auth, user_id: str, actor_id: str = ADMIN, reason: str = "", **values: Any) -> None:
    user, mask = pb.User(id=user_id, **values), FieldMask(paths=list(values))
    request = pb.UpdateUserRequest(user=user, update_mask=mask, actor_id=actor_id, reason=reason)
    await auth.stub.UpdateUser(request)


async def test_an_operators_change_of_a_user_is_told_whole(auth: Auth) -> None:
    user_id = await auth.user_id()
    await update(auth, user_id, reason="left the company", status=pb.USER_STATUS_DISABLED, name="Gone")
    (event,) = await events(auth)
    parse_uuid(event.id, "id")
    assert event == AuditEvent(
        id=event.id,
        create_time=timestamps.to_proto(NOW),
        actor_id=ADMIN,
        action="user.disabled",
        subject_kind="user",
        subject_id=user_id,
        reason="left the company",
        details={"name": AuditChange(old="Alice", new="Gone"), "status": AuditChange(old="active", new="disabled")},
    )


async def test_the_command_line_is_nobody_and_what_changes_nothing_is_no_event(auth: Auth) -> None:
    user_id = await auth.user_id()
    for _ in range(2):
        await update(auth, user_id, actor_id="", role=pb.USER_ROLE_ADMIN)
    await update(auth, user_id, actor_id=user_id, name="Al")
    assert await told(auth) == [
        ("user.updated", user_id, {"name": ("Alice", "Al")}),
        ("user.updated", "", {"role": ("user", "admin")}),
    ]


async def test_a_refused_change_is_no_event(auth: Auth) -> None:
    user_id = await auth.user_id()
    await update(auth, user_id, role=pb.USER_ROLE_ADMIN)
    assert (await refusal(update(auth, user_id, role=pb.USER_ROLE_USER)))[1] == "LAST_ADMIN"
    assert (await refusal(update(auth, user_id, actor_id="me", name="x")))[2] == {"field": "actor_id"}
    assert (await refusal(update(auth, user_id, reason="x" * 501, name="x")))[2] == {"field": "reason"}
    assert await auth.count("audit_events") == 1


async def test_creating_a_user_is_an_event_and_signing_up_is_none(auth: Auth) -> None:
    await auth.sign_up()
    request = pb.CreateUserRequest(email="bob@example.com", password=PASSWORD, role=pb.USER_ROLE_ADMIN, actor_id=ADMIN)
    bob = (await auth.stub.CreateUser(request)).user
    details = {"email": ("", "bob@example.com"), "name": ("", ""), "role": ("", "admin")}
    assert await told(auth) == [("user.created", ADMIN, details)]
    assert (await events(auth))[0].subject_id == bob.id


async def test_the_life_of_a_key_is_told_without_its_secret(auth: Auth) -> None:
    user_id = await auth.user_id()
    made = await auth.create_key(user_id, monthly_limit_nanos=5_000_000_000, allowed_models=["b", "a"])
    key = made.api_key
    for _ in range(2):
        change = pb.ApiKey(id=key.id, name="desk", rpm_limit=7)
        mask = FieldMask(paths=["name", "rpm_limit", "monthly_limit_nanos", "allowed_models"])
        await auth.stub.UpdateApiKey(pb.UpdateApiKeyRequest(user_id=user_id, api_key=change, update_mask=mask))
    await auth.stub.DeleteApiKey(pb.DeleteApiKeyRequest(user_id=user_id, api_key_id=key.id))
    created = {
        "key_prefix": ("", key.key_prefix),
        "name": ("", "laptop"),
        "status": ("", "active"),
        "monthly_limit_nanos": ("", "5000000000"),
        "allowed_models": ("", "a, b"),
        "keeps_answers": ("", "false"),
    }
    updated = {
        "name": ("laptop", "desk"),
        "rpm_limit": ("", "7"),
        "monthly_limit_nanos": ("5000000000", ""),
        "allowed_models": ("a, b", ""),
    }
    deleted = {"key_prefix": (key.key_prefix, ""), "name": ("desk", "")}
    assert await told(auth, subject_id=key.id) == [
        ("api_key.deleted", user_id, deleted),
        ("api_key.updated", user_id, updated),
        ("api_key.created", user_id, created),
    ]
    assert {event.subject_kind for event in await events(auth)} == {"api_key"}
    assert made.secret not in str(await auth.admin.fetch("SELECT details::text FROM auth.audit_events"))


async def test_a_key_with_a_virtual_key_is_told_once_and_a_refused_one_not_at_all(auth_with_proxy: Auth) -> None:
    user_id = await auth_with_proxy.user_id()
    await auth_with_proxy.create_key(user_id)
    auth_with_proxy.proxy.refuses_with = 500
    assert (await refusal(auth_with_proxy.create_key(user_id)))[1] == "VIRTUAL_KEY_REFUSED"
    assert [action for action, *_ in await told(auth_with_proxy)] == ["api_key.created"]


async def test_events_are_listed_in_pages_and_found_by_what_they_name(auth: Auth) -> None:
    user_id = await auth.user_id()
    await update(auth, user_id, name="A")
    await auth.create_key(user_id)
    await update(auth, user_id, name="B")
    answer = await auth.stub.ListAuditEvents(pb.ListAuditEventsRequest(limit=1, offset=1))
    assert ([event.action for event in answer.events], answer.total) == (["api_key.created"], 3)
    assert len(await events(auth, limit=10_200)) == 3
    assert len(await events(auth, actor_id=ADMIN, subject_id=user_id, action="user.updated")) == 2
    assert [event.action for event in await events(auth, actor_id=user_id)] == ["api_key.created"]
    for bad in ({"limit": 10_201}, {"offset": -1}, {"actor_id": "x"}, {"subject_id": "x" * 255}, {"action": "\x00"}):
        assert (await refusal(events(auth, **bad)))[2] == {"field": next(iter(bad))}


@pytest.mark.parametrize("change", ["UPDATE {} SET reason = 'other'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_log_is_only_added_to(databases: Databases, change: str) -> None:
    url = await databases.fresh("auth")
    service = await databases.admin(databases.url_for("auth", url))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(change.format("auth.audit_events"))
