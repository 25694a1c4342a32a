"""Logging in and out: who gets a session, how long it holds, and what an attacker learns."""

import asyncio
import time
from datetime import timedelta
from uuid import uuid4

import pytest

from kit import timestamps
from kit.errors import RemoteError
from privaterouter.auth.v1 import auth_pb2 as pb
from tests.services.auth.conftest import NOW, PASSWORD, Auth, refusal, someone_waits_for_a_lock
from tests.support.waiting import eventually


async def check(auth: Auth, session_id: str) -> pb.CheckSessionResponse:
    return await auth.stub.CheckSession(pb.CheckSessionRequest(session_id=session_id))


async def disable(auth: Auth, user_id: str, status: pb.UserStatus.ValueType = pb.USER_STATUS_DISABLED) -> None:
    request = pb.UpdateUserRequest(user=pb.User(id=user_id, status=status))
    request.update_mask.paths.append("status")
    await auth.stub.UpdateUser(request)


@pytest.mark.parametrize("email", ["alice@example.com", "ALICE@Example.COM"])
async def test_log_in_begins_a_new_session_whatever_the_case_of_the_email(auth: Auth, email: str) -> None:
    first = await auth.sign_up()
    auth.clock.now += timedelta(days=1)
    answer = await auth.log_in(email)
    assert answer.user == first.user
    assert answer.session.id != first.session.id
    assert answer.session.expire_time == timestamps.to_proto(NOW + timedelta(days=31))
    assert (await check(auth, answer.session.id)).session == answer.session
    assert (await check(auth, first.session.id)).session == first.session


async def test_every_wrong_log_in_looks_the_same(auth: Auth) -> None:
    await auth.sign_up()
    bob = await auth.user_id("bob@example.com")
    await disable(auth, bob)
    before = await auth.count("sessions")
    answers = [
        await _failed(auth, email, password)
        for email, password in (
            ("alice@example.com", PASSWORD + "x"),
            ("alice@example.com", ""),
            ("alice@example.com", "x" * 100_000),
            ("nobody@example.com", PASSWORD),
            ("no address", PASSWORD),
            ("a\x00b@example.com", PASSWORD),
            ("' OR true --", PASSWORD),
            ("bob@example.com", PASSWORD),
        )
    ]
    assert answers == [("UNAUTHENTICATED", "INVALID_CREDENTIALS", "e-mail or password is wrong")] * len(answers)
    assert await auth.count("sessions") == before


async def test_an_unknown_email_takes_as_long_as_a_wrong_password(auth: Auth) -> None:
    """The hash takes most of the CPU, so leaving it out would more than halve it."""
    await auth.sign_up()
    pairs = [[await _seconds(auth, f"{name}@example.com") for name in ("alice", "nobody")] for _ in range(9)]
    wrong, unknown = (min(seconds) for seconds in zip(*pairs, strict=True))
    assert 0.6 < unknown / wrong < 1.7


async def test_a_full_queue_of_password_checks_refuses(auth: Auth) -> None:
    await auth.sign_up()
    auth.parts.passwords._places = 0
    for email in ("alice@example.com", "nobody@example.com"):
        assert (await refusal(auth.log_in(email)))[:2] == ("UNAVAILABLE", "TOO_BUSY")


async def test_passwords_are_the_same_however_their_letters_are_composed(auth: Auth) -> None:
    composed = "Z\u00fcrich-Gen\u00e8ve"
    decomposed = "Zu\u0308rich-Gene\u0300ve"
    await auth.stub.SignUp(pb.SignUpRequest(email="alice@example.com", password=composed))
    await auth.log_in(password=decomposed)


async def test_log_out_ends_the_session_for_good(auth: Auth) -> None:
    answer = await auth.sign_up()
    other = await auth.log_in()
    for _ in range(2):
        await auth.stub.LogOut(pb.LogOutRequest(session_id=answer.session.id))
        assert (await refusal(check(auth, answer.session.id)))[:2] == ("UNAUTHENTICATED", "SESSION_ENDED")
        auth.clock.now += timedelta(minutes=1)
    assert (await check(auth, other.session.id)).user == answer.user
    end_time = await auth.admin.fetchval("SELECT end_time FROM auth.sessions WHERE id = $1", answer.session.id)
    assert end_time == NOW


async def test_an_unknown_session_is_ended_already(auth: Auth) -> None:
    unknown = str(uuid4())
    await auth.stub.LogOut(pb.LogOutRequest(session_id=unknown))
    assert (await refusal(check(auth, unknown)))[:2] == ("UNAUTHENTICATED", "SESSION_ENDED")
    assert (await refusal(check(auth, "no id")))[2] == {"field": "session_id"}


async def test_a_session_ends_by_itself_after_thirty_days(auth: Auth) -> None:
    session_id = (await auth.sign_up()).session.id
    auth.clock.now = NOW + timedelta(days=30) - timedelta(seconds=1)
    await check(auth, session_id)
    auth.clock.now = NOW + timedelta(days=30)
    assert (await refusal(check(auth, session_id)))[1] == "SESSION_ENDED"


async def test_disabling_a_user_ends_all_sessions_for_good(auth: Auth) -> None:
    answer = await auth.sign_up()
    second = await auth.log_in()
    await disable(auth, answer.user.id)
    for session in (answer.session, second.session):
        assert (await refusal(check(auth, session.id)))[1] == "SESSION_ENDED"
    await disable(auth, answer.user.id, pb.USER_STATUS_ACTIVE)
    for session in (answer.session, second.session):
        assert (await refusal(check(auth, session.id)))[1] == "SESSION_ENDED"
    await check(auth, (await auth.log_in()).session.id)


async def test_no_session_begins_while_a_user_is_being_disabled(auth: Auth) -> None:
    """The log-in waits for the change and then sees it, so no session outlives it."""
    answer = await auth.sign_up()
    async with auth.admin.transaction():
        await auth.admin.execute("UPDATE auth.users SET status = 'disabled' WHERE id = $1", answer.user.id)
        logging_in = asyncio.create_task(auth.log_in())
        await eventually(lambda: someone_waits_for_a_lock(auth), what="the log-in to wait")
    assert (await refusal(logging_in))[1] == "INVALID_CREDENTIALS"
    assert await auth.count("sessions") == 1


async def _failed(auth: Auth, email: str, password: str) -> tuple[str, str, str]:
    with pytest.raises(RemoteError) as refused:
        await auth.log_in(email, password)
    assert refused.value.metadata == {}
    return refused.value.code.name, refused.value.reason, refused.value.message


async def _seconds(auth: Auth, email: str) -> float:
    started = time.process_time()
    await refusal(auth.log_in(email, "wrong password"))
    return time.process_time() - started
