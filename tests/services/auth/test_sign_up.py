"""Signing up: the user, the first session, and the billing account that must follow."""

import asyncio
import os
from datetime import timedelta

import asyncpg
import grpc
import pytest
from prometheus_client import REGISTRY

from kit import timestamps
from kit.ids import parse_uuid
from privaterouter.auth.v1 import auth_pb2 as pb
from services.auth.passwords import Passwords
from services.auth.store_outboxes import ACCOUNT_OPENINGS, claimed
from tests.services.auth.conftest import NOW, PASSWORD, Auth, refusal
from tests.support.waiting import eventually


async def test_sign_up_answers_the_user_and_a_session_of_thirty_days(auth: Auth) -> None:
    answer = await auth.sign_up()
    user, session = answer.user, answer.session
    assert user == pb.User(
        id=user.id,
        email="alice@example.com",
        name="Alice",
        role=pb.USER_ROLE_USER,
        status=pb.USER_STATUS_ACTIVE,
        create_time=timestamps.to_proto(NOW),
    )
    assert session == pb.Session(
        id=session.id,
        user_id=user.id,
        create_time=timestamps.to_proto(NOW),
        expire_time=timestamps.to_proto(NOW + timedelta(days=30)),
    )
    assert parse_uuid(user.id, "id").version == 7
    checked = await auth.stub.CheckSession(pb.CheckSessionRequest(session_id=session.id))
    assert (checked.user, checked.session) == (user, session)


async def test_only_an_argon2id_hash_of_the_password_is_stored(auth: Auth) -> None:
    await auth.sign_up()
    row = await auth.admin.fetchrow("SELECT * FROM auth.users")
    assert row is not None
    assert row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in str(dict(row))


async def test_an_email_is_taken_in_any_case(auth: Auth) -> None:
    await auth.sign_up("Alice@Example.com")
    assert (await refusal(auth.sign_up("aLICE@example.COM")))[:2] == ("ALREADY_EXISTS", "EMAIL_TAKEN")
    assert await auth.count("users") == 1
    assert await auth.count("sessions") == 1


async def test_of_two_sign_ups_with_one_email_at_once_one_succeeds(auth: Auth) -> None:
    answers = await asyncio.gather(auth.sign_up(), auth.sign_up("ALICE@example.com"), return_exceptions=True)
    assert sum(isinstance(answer, pb.SignUpResponse) for answer in answers) == 1
    assert await auth.count("users") == 1


@pytest.mark.parametrize(
    "email",
    ["", "alice", "alice@", "@example.com", "alice@localhost", "a b@example.com", "a@b@c.com", "a\x00@example.com",
     "alice@example..com", "a" * 250 + "@example.com", "'; DROP TABLE auth.users; --"],
)  # fmt: skip
async def test_what_is_no_email_is_refused(auth: Auth, email: str) -> None:
    assert await refusal(auth.sign_up(email)) == ("INVALID_ARGUMENT", "INVALID_EMAIL", {"field": "email"})
    assert await auth.count("users") == 0


@pytest.mark.parametrize(
    "email", ["ops@gateway.internal.example", "alice+tag@example.com", "o'hara@example.com", "ålice@exämple.se"]
)
async def test_unusual_but_real_addresses_are_accepted(auth: Auth, email: str) -> None:
    assert (await auth.sign_up(email)).user.email == email
    assert (await auth.log_in(email)).user.email == email


@pytest.mark.parametrize("password", ["", "short77", "x9k2" * 33, "password1", "12345678"])
async def test_a_bad_password_is_refused(auth: Auth, password: str) -> None:
    call = auth.stub.SignUp(pb.SignUpRequest(email="alice@example.com", password=password))
    assert await refusal(call) == ("INVALID_ARGUMENT", "INVALID_PASSWORD", {"field": "password"})
    assert await auth.count("users") == 0


@pytest.mark.parametrize("name", ["x" * 101, "a\x00b", "a\nb", "   "])
async def test_a_name_that_cannot_be_shown_is_refused(auth: Auth, name: str) -> None:
    assert await refusal(auth.sign_up(name=name)) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", {"field": "name"})
    assert await auth.count("users") == 0


async def test_a_full_queue_of_password_hashes_refuses_and_stores_nothing(auth: Auth) -> None:
    occupied = auth.parts.passwords
    occupied._places = 0
    assert (await refusal(auth.sign_up()))[:2] == ("UNAVAILABLE", "TOO_BUSY")
    assert await auth.count("users") == 0
    occupied._places = 1
    await auth.sign_up()


async def test_the_account_is_open_when_sign_up_answers(auth: Auth) -> None:
    user_id = await auth.user_id()
    assert auth.billing.opened == [user_id]
    assert await auth.count("account_openings") == 0


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE])
async def test_an_account_that_could_not_be_opened_is_opened_later(auth: Auth, code: grpc.StatusCode) -> None:
    auth.billing.fails_with = code
    answer = await auth.sign_up()
    assert auth.billing.opened == []
    assert await auth.count("account_openings") == 1

    auth.start_relays()
    auth.clock.now += timedelta(seconds=10)
    before = auth.billing.calls
    await eventually(lambda: _later(auth.billing.calls > before), what="a second attempt")
    auth.billing.fails_with = None
    auth.clock.now += timedelta(seconds=120)
    auth.parts.openings.wake()

    async def is_told() -> bool:
        return auth.billing.opened == [answer.user.id] and await auth.count("account_openings") == 0

    await eventually(is_told, what="the account")


async def test_an_account_is_not_opened_where_sign_up_failed(auth: Auth) -> None:
    await auth.sign_up()
    await refusal(auth.sign_up())
    assert len(auth.billing.opened) == 1
    assert auth.billing.calls == 1


async def test_a_user_whose_process_died_after_the_commit_gets_an_account(auth: Auth) -> None:
    answer = await auth.sign_up()
    auth.billing.opened.clear()
    await auth.admin.execute(
        "INSERT INTO auth.account_openings (account_id, create_time, next_attempt_time) VALUES ($1, $2, $2)",
        answer.user.id,
        NOW,
    )
    auth.start_relays()
    await eventually(lambda: _later(auth.billing.opened == [answer.user.id]), what="the account")


async def test_two_relays_never_take_the_same_opening(auth: Auth) -> None:
    answer = await auth.sign_up()
    await auth.admin.execute(
        "INSERT INTO auth.account_openings (account_id, create_time, next_attempt_time) VALUES ($1, $2, $2)",
        answer.user.id,
        NOW,
    )
    async with auth.database.transaction() as one, auth.database.transaction() as other:
        first = await claimed(one, ACCOUNT_OPENINGS, now=NOW, limit=5)
        assert await claimed(other, ACCOUNT_OPENINGS, now=NOW, limit=5) == []
    assert [str(key) for key in first] == [answer.user.id]
    async with auth.database.transaction() as later:
        assert await claimed(later, ACCOUNT_OPENINGS, now=NOW, limit=5) == []


async def test_an_operator_creates_an_admin_without_a_session(auth: Auth) -> None:
    request = pb.CreateUserRequest(email="root@example.com", password=PASSWORD, role=pb.USER_ROLE_ADMIN)
    user = (await auth.stub.CreateUser(request)).user
    assert user == pb.User(
        id=user.id,
        email="root@example.com",
        role=pb.USER_ROLE_ADMIN,
        status=pb.USER_STATUS_ACTIVE,
        create_time=timestamps.to_proto(NOW),
    )
    assert await auth.count("sessions") == 0
    assert auth.billing.opened == [user.id]
    assert (await auth.log_in("root@example.com")).user == user


async def test_a_created_user_is_a_plain_one_by_default(auth: Auth) -> None:
    request = pb.CreateUserRequest(email="bob@example.com", password=PASSWORD, name="Bob")
    assert (await auth.stub.CreateUser(request)).user.role == pb.USER_ROLE_USER
    assert (await refusal(auth.stub.CreateUser(request)))[1] == "EMAIL_TAKEN"
    request.role = 9  # type: ignore[assignment]
    assert (await refusal(auth.stub.CreateUser(request)))[2] == {"field": "role"}


async def test_the_database_itself_refuses_two_users_with_one_email(auth: Auth) -> None:
    await auth.sign_up()
    with pytest.raises(asyncpg.UniqueViolationError):
        await auth.admin.execute(
            "INSERT INTO auth.users SELECT gen_random_uuid(), upper(email), name, role, status, password_hash,"
            " create_time FROM auth.users"
        )


async def test_the_service_may_not_delete_users_or_rewrite_revocations(auth: Auth) -> None:
    for statement in ("DELETE FROM auth.users", "UPDATE auth.revocations SET sequence = 1", "DROP TABLE auth.users"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with auth.database.transaction() as c:
                await c.execute(statement)


async def test_hashing_leaves_room_again_after_a_cancelled_call() -> None:
    passwords = Passwords(os.urandom, threads=1, queue=0)
    running = asyncio.create_task(passwords.hash(PASSWORD))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await passwords.hash(PASSWORD)).startswith("$argon2id$")
    passwords.close()


async def _later(value: bool) -> bool:
    return value


async def test_what_billing_was_told_in_vain_is_measured(auth: Auth) -> None:
    def stuck() -> float | None:
        return REGISTRY.get_sample_value("auth_outbox_stuck_seconds", {"outbox": "account_openings"})

    auth.billing.fails_with = grpc.StatusCode.UNAVAILABLE
    await auth.sign_up()
    auth.clock.now += timedelta(seconds=10)
    auth.start_relays()

    async def was_tried() -> bool:
        return bool(await auth.admin.fetchval("SELECT attempts > 0 FROM auth.account_openings"))

    await eventually(was_tried, what="a second attempt")
    auth.clock.now += timedelta(seconds=290)
    await eventually(lambda: _later(stuck() == 300), what="its age")
    assert REGISTRY.get_sample_value("auth_outbox_rows", {"outbox": "account_openings"}) == 1
