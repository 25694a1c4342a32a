"""What users do about their own log-ins: see them, end them, and choose another password."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from privaterouter.auth.v1 import auth_pb2 as pb
from tests.services.auth.conftest import NOW, PASSWORD, Auth, refusal, someone_waits_for_a_lock
from tests.support.waiting import eventually

NEW_PASSWORD = "an-even-better-battery-staple"


async def sessions(auth: Auth, user_id: str, **page: int) -> list[pb.Session]:
    return list((await auth.stub.ListSessions(pb.ListSessionsRequest(user_id=user_id, **page))).sessions)


async def end(auth: Auth, user_id: str, session_id: str) -> None:
    await auth.stub.EndSession(pb.EndSessionRequest(user_id=user_id, session_id=session_id))


async def is_open(auth: Auth, session: pb.Session) -> bool:
    return session.id in [one.id for one in await sessions(auth, session.user_id)]


async def change(auth: Auth, session: pb.Session, current: str = PASSWORD, new: str = NEW_PASSWORD) -> None:
    request = pb.ChangePasswordRequest(
        user_id=session.user_id, current_password=current, new_password=new, kept_session_id=session.id
    )
    await auth.stub.ChangePassword(request)


async def test_open_sessions_are_listed_with_what_began_them(auth: Auth) -> None:
    signed_up = await auth.stub.SignUp(
        pb.SignUpRequest(email="alice@example.com", password=PASSWORD, user_agent="curl/8")
    )
    logged_in = await auth.stub.LogIn(
        pb.LogInRequest(email="alice@example.com", password=PASSWORD, user_agent="Mozilla/5.0 (X11)")
    )
    gone = await auth.log_in()
    await auth.stub.LogOut(pb.LogOutRequest(session_id=gone.session.id))
    await auth.sign_up("bob@example.com")
    assert (signed_up.session.user_agent, logged_in.session.user_agent) == ("curl/8", "Mozilla/5.0 (X11)")
    user_id = signed_up.user.id
    assert await sessions(auth, user_id) == [logged_in.session, signed_up.session]
    answer = await auth.stub.ListSessions(pb.ListSessionsRequest(user_id=user_id, limit=1, offset=1))
    assert (list(answer.sessions), answer.total) == ([signed_up.session], 2)
    auth.clock.now = NOW + timedelta(days=30)
    assert await sessions(auth, user_id) == []


@pytest.mark.parametrize("user_agent", ["x" * 301, "a\nb"])
async def test_a_program_with_no_name_to_show_is_refused(auth: Auth, user_agent: str) -> None:
    await auth.sign_up()
    log_in = pb.LogInRequest(email="alice@example.com", password=PASSWORD, user_agent=user_agent)
    assert (await refusal(auth.stub.LogIn(log_in)))[2] == {"field": "user_agent"}
    sign_up = pb.SignUpRequest(email="bob@example.com", password=PASSWORD, user_agent=user_agent)
    assert (await refusal(auth.stub.SignUp(sign_up)))[2] == {"field": "user_agent"}
    assert (await auth.count("sessions"), await auth.count("users")) == (1, 1)


async def test_a_session_is_ended_once_and_by_its_user_alone(auth: Auth) -> None:
    alice, bob = await auth.sign_up(), await auth.sign_up("bob@example.com")
    not_found = ("NOT_FOUND", "SESSION_NOT_FOUND")
    assert (await refusal(end(auth, bob.user.id, alice.session.id)))[:2] == not_found
    assert await is_open(auth, alice.session)
    await end(auth, alice.user.id, alice.session.id)
    assert not await is_open(auth, alice.session)
    assert (await refusal(end(auth, alice.user.id, alice.session.id)))[:2] == not_found
    assert (await refusal(end(auth, alice.user.id, str(uuid4()))))[:2] == not_found
    auth.clock.now = NOW + timedelta(days=30)
    assert (await refusal(end(auth, bob.user.id, bob.session.id)))[:2] == not_found, "it has expired"


async def test_all_other_sessions_end_and_this_one_goes_on(auth: Auth) -> None:
    alice, bob = await auth.sign_up(), await auth.sign_up("bob@example.com")
    kept = (await auth.log_in()).session
    request = pb.EndOtherSessionsRequest(user_id=alice.user.id, kept_session_id=kept.id)
    for _ in range(2):
        await auth.stub.EndOtherSessions(request)
        assert await sessions(auth, alice.user.id) == [kept]
    assert await is_open(auth, bob.session)


async def test_another_password_ends_the_other_sessions_and_is_noted(auth: Auth) -> None:
    first, kept = (await auth.sign_up()).session, (await auth.log_in()).session
    bob = await auth.sign_up("bob@example.com")
    await change(auth, kept)
    assert await sessions(auth, first.user_id) == [kept]
    assert await is_open(auth, bob.session)
    assert (await refusal(auth.log_in()))[1] == "INVALID_CREDENTIALS"
    await auth.log_in(password=NEW_PASSWORD)
    await auth.log_in("bob@example.com")
    (event,) = (await auth.stub.ListAuditEvents(pb.ListAuditEventsRequest())).events
    assert (event.action, event.actor_id, event.subject_id) == ("user.password_changed", first.user_id, first.user_id)
    assert dict(event.details) == {}


async def test_a_wrong_or_a_bad_password_changes_nothing(auth: Auth) -> None:
    first, kept = (await auth.sign_up()).session, (await auth.log_in()).session
    wrong = ("INVALID_ARGUMENT", "WRONG_PASSWORD", {"field": "current_password"})
    for current in ("not the password", "", "x" * 10_000):
        assert await refusal(change(auth, kept, current)) == wrong
    for bad in ("short", "x" * 129, "password123"):
        assert await refusal(change(auth, kept, new=bad)) == (
            "INVALID_ARGUMENT",
            "INVALID_PASSWORD",
            {"field": "new_password"},
        )
    nobody = pb.Session(id=kept.id, user_id=str(uuid4()))
    assert (await refusal(change(auth, nobody)))[:2] == ("NOT_FOUND", "USER_NOT_FOUND")
    assert await sessions(auth, first.user_id) == [kept, first]
    assert await auth.count("audit_events") == 0
    await auth.log_in()


async def test_of_two_changes_at_once_one_is_made(auth: Auth) -> None:
    session = (await auth.sign_up()).session
    passwords = [NEW_PASSWORD + str(number) for number in range(4)]
    answers = await asyncio.gather(*(change(auth, session, new=new) for new in passwords), return_exceptions=True)
    assert sorted(answer is None for answer in answers) == [False, False, False, True]
    await auth.log_in(password=passwords[answers.index(None)])
    assert await auth.count("audit_events") == 1


async def test_no_session_begins_with_the_old_password_while_it_is_changed(auth: Auth) -> None:
    """The log-in waits for the change and then sees it, so no session outlives the password."""
    user_id = await auth.user_id()
    async with auth.admin.transaction():
        await auth.admin.execute(
            "UPDATE auth.users SET password_hash = password_hash || 'x' WHERE id = $1::text::uuid", user_id
        )
        logging_in = asyncio.create_task(auth.log_in())
        await eventually(lambda: someone_waits_for_a_lock(auth), what="the log-in to wait")
    assert (await refusal(logging_in))[1] == "INVALID_CREDENTIALS"
    assert await auth.count("sessions") == 1
