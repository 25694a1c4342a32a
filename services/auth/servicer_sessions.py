"""The RPCs about being logged in: sessions, and the password that begins them."""

from kit.ids import parse_uuid
from kit.interceptors import Context
from kit.paging import page
from privaterouter.auth.v1 import auth_pb2 as pb
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceServicer
from services.auth import packing, passwords, sessions, store_sessions, store_users, users
from services.auth.errors import InvalidCredentials, InvalidEmail, WrongPassword
from services.auth.parts import Parts
from services.auth.rows import User


class SessionsServicer(AuthServiceServicer):
    """The part of privaterouter.auth.v1.AuthService that logs people in and out."""

    _parts: Parts

    async def LogIn(self, request: pb.LogInRequest, context: Context) -> pb.LogInResponse:
        parts = self._parts
        sessions.check_user_agent(request.user_agent)
        found = await self._user_and_hash(request.email)
        # No connection is held while the password is checked, and nobody is spared the check.
        is_right = await parts.passwords.is_right(request.password, found[1] if found else None)
        async with parts.database.transaction() as c:
            if not (found and is_right and await store_users.still_may_log_in(c, found[0].id, password_hash=found[1])):
                raise InvalidCredentials("e-mail or password is wrong")
            session = await sessions.begin(
                c, found[0].id, session_id=parts.ids(), user_agent=request.user_agent, now=parts.clock()
            )
        return pb.LogInResponse(user=packing.user_message(found[0]), session=packing.session_message(session))

    async def LogOut(self, request: pb.LogOutRequest, context: Context) -> pb.LogOutResponse:
        session_id = parse_uuid(request.session_id, "session_id")
        async with self._parts.database.transaction() as c:
            await store_sessions.end_session(c, session_id, self._parts.clock())
        return pb.LogOutResponse()

    async def CheckSession(self, request: pb.CheckSessionRequest, context: Context) -> pb.CheckSessionResponse:
        session_id = parse_uuid(request.session_id, "session_id")
        async with self._parts.database.reader() as c:
            session, user = await sessions.check(c, session_id, now=self._parts.clock())
        return pb.CheckSessionResponse(user=packing.user_message(user), session=packing.session_message(session))

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        user_id = parse_uuid(request.user_id, "user_id")
        wanted = page(request.limit, request.offset)
        async with self._parts.database.reader() as c:
            found, total = await store_sessions.open_sessions_page(c, user_id, wanted, now=self._parts.clock())
        return pb.ListSessionsResponse(sessions=map(packing.session_message, found), total=total)

    async def EndSession(self, request: pb.EndSessionRequest, context: Context) -> pb.EndSessionResponse:
        user_id = parse_uuid(request.user_id, "user_id")
        session_id = parse_uuid(request.session_id, "session_id")
        async with self._parts.database.transaction() as c:
            await sessions.end(c, session_id, user_id=user_id, now=self._parts.clock())
        return pb.EndSessionResponse()

    async def EndOtherSessions(
        self, request: pb.EndOtherSessionsRequest, context: Context
    ) -> pb.EndOtherSessionsResponse:
        user_id = parse_uuid(request.user_id, "user_id")
        kept = parse_uuid(request.kept_session_id, "kept_session_id")
        async with self._parts.database.transaction() as c:
            await store_sessions.end_sessions_of(c, user_id, self._parts.clock(), kept=kept)
        return pb.EndOtherSessionsResponse()

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Context) -> pb.ChangePasswordResponse:
        parts = self._parts
        user_id = parse_uuid(request.user_id, "user_id")
        kept = parse_uuid(request.kept_session_id, "kept_session_id")
        passwords.check(request.new_password, field="new_password")
        async with parts.database.reader() as c:
            old_hash = await users.password_hash(c, user_id)
        if not await parts.passwords.is_right(request.current_password, old_hash):
            raise WrongPassword("the present password is another one", field="current_password")
        new_hash = await parts.passwords.hash(request.new_password)
        async with parts.database.transaction() as c:
            await users.change_password(
                c, user_id, old_hash=old_hash, new_hash=new_hash, kept_session_id=kept, act=parts.act(str(user_id))
            )
        return pb.ChangePasswordResponse()

    async def _user_and_hash(self, email: str) -> tuple[User, str] | None:
        try:
            address = users.checked_email(email)
        except InvalidEmail:
            return None
        async with self._parts.database.reader() as c:
            return await store_users.user_and_hash_by_email(c, address)
