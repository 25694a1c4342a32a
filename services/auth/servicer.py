"""The auth service's RPCs: unpack, transaction, pack; what others must hear is told after the commit."""

from contextlib import suppress

from kit import audit_log
from kit.errors import InvalidArgument, Unavailable
from kit.ids import parse_uuid
from kit.interceptors import Context
from kit.paging import page
from privaterouter.auth.v1 import auth_pb2 as pb
from services.auth import (
    api_keys,
    checks,
    packing,
    passwords,
    sessions,
    store_api_keys,
    store_users,
    users,
    virtual_keys,
)
from services.auth.parts import Parts
from services.auth.rows import Role, User
from services.auth.servicer_sessions import SessionsServicer
from services.auth.servicer_virtual_keys import VirtualKeysServicer

MAX_SECRETS = 1_000
MAX_USERS = 1_000
MAX_USES = 10_000
MAX_REVOCATIONS = 1_000


class AuthServicer(SessionsServicer, VirtualKeysServicer):
    """privaterouter.auth.v1.AuthService."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._database = parts.database

    async def SignUp(self, request: pb.SignUpRequest, context: Context) -> pb.SignUpResponse:
        sessions.check_user_agent(request.user_agent)
        user, password_hash = await self._new_user(request, role="user")
        async with self._database.transaction() as c:
            await users.create(c, user, password_hash=password_hash)
            session = await sessions.begin(
                c, user.id, session_id=self._parts.ids(), user_agent=request.user_agent, now=user.create_time
            )
        await self._parts.openings.deliver(user.id)
        return pb.SignUpResponse(user=packing.user_message(user), session=packing.session_message(session))

    async def CreateUser(self, request: pb.CreateUserRequest, context: Context) -> pb.CreateUserResponse:
        role = packing.role(request.role or pb.USER_ROLE_USER)
        act = self._parts.act(request.actor_id, request.reason)
        user, password_hash = await self._new_user(request, role=role)
        async with self._database.transaction() as c:
            await users.create_for(c, user, password_hash=password_hash, act=act)
        await self._parts.openings.deliver(user.id)
        return pb.CreateUserResponse(user=packing.user_message(user))

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        user_id = parse_uuid(request.user_id, "user_id")
        async with self._database.reader() as c:
            user = await users.get(c, user_id)
        return pb.GetUserResponse(user=packing.user_message(user))

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        wanted = page(request.limit, request.offset)
        for field, value in (("search", request.search), ("email", request.email)):
            checks.text(field, value, least=0, most=254)
        async with self._database.reader() as c:
            found, total = await store_users.users_page(
                c,
                wanted,
                search=request.search,
                email=request.email,
                from_time=packing.time(request.from_time, "from_time") if request.HasField("from_time") else None,
            )
        return pb.ListUsersResponse(users=map(packing.user_message, found), total=total)

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, context: Context) -> pb.BatchGetUsersResponse:
        if len(request.user_ids) > MAX_USERS:
            raise InvalidArgument(f"user_ids must have at most {MAX_USERS} entries", field="user_ids")
        user_ids = [parse_uuid(user_id, "user_ids") for user_id in request.user_ids]
        async with self._database.reader() as c:
            found = await store_users.users_by_ids(c, user_ids)
        return pb.BatchGetUsersResponse(users=map(packing.user_message, found))

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> pb.UpdateUserResponse:
        fields = checks.mask(request.update_mask.paths, allowed=users.CHANGEABLE)
        changes = packing.user_changes(request.user, fields)
        user_id = parse_uuid(request.user.id, "user.id")
        act = self._parts.act(request.actor_id, request.reason)
        async with self._database.transaction() as c:
            user, revoked = await users.change(c, user_id, changes, act=act)
        if revoked:
            await self._parts.announce(user_id)
        return pb.UpdateUserResponse(user=packing.user_message(user))

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: Context) -> pb.ListAuditEventsResponse:
        wanted = page(request.limit, request.offset, maximum=audit_log.MAX_LIMIT)
        actor_id = parse_uuid(request.actor_id, "actor_id") if request.actor_id else None
        for field, value in (("subject_id", request.subject_id), ("action", request.action)):
            checks.text(field, value, least=0, most=254)
        async with self._database.reader() as c:
            found, total = await audit_log.events_page(
                c, "auth", wanted, actor_id=actor_id, subject_id=request.subject_id, action=request.action
            )
        return pb.ListAuditEventsResponse(events=map(packing.audit_event_message, found), total=total)

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Context) -> pb.CreateApiKeyResponse:
        parts = self._parts
        user_id = parse_uuid(request.user_id, "user_id")
        new = api_keys.make(
            packing.key_settings(request),
            user_id=user_id,
            api_key_id=parts.ids(),
            random_bytes=parts.random_bytes,
            now=parts.clock(),
        )
        act = parts.act(str(user_id))
        if parts.virtual:
            await self._create_with_virtual_key(new, parts.virtual, act)
        else:
            async with self._database.transaction() as c:
                await api_keys.create(c, new, digester=parts.digester, virtual_key_sealed=None, act=act)
        return pb.CreateApiKeyResponse(api_key=packing.api_key_message(new.api_key), secret=new.secret)

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        user_id = parse_uuid(request.user_id, "user_id")
        wanted = page(request.limit, request.offset)
        async with self._database.reader() as c:
            found, total = await store_api_keys.api_keys_page(c, user_id, wanted)
        return pb.ListApiKeysResponse(api_keys=map(packing.api_key_message, found), total=total)

    async def UpdateApiKey(self, request: pb.UpdateApiKeyRequest, context: Context) -> pb.UpdateApiKeyResponse:
        fields = checks.mask(request.update_mask.paths, allowed=api_keys.CHANGEABLE)
        if "status" in fields and not request.api_key.status:
            raise InvalidArgument("status must be active or disabled", field="status")
        new = packing.key_settings(request.api_key)
        user_id = parse_uuid(request.user_id, "user_id")
        api_key_id = parse_uuid(request.api_key.id, "api_key.id")
        act = self._parts.act(str(user_id))
        async with self._database.transaction() as c:
            api_key = await api_keys.change(c, api_key_id, user_id=user_id, new=new, fields=fields, act=act)
            if "monthly_limit_nanos" in fields:
                await virtual_keys.follow(c, api_key_id, now=act.time)
        if self._parts.virtual:
            self._parts.virtual.updates.wake()
        await self._parts.announce(user_id, api_key_id)
        return pb.UpdateApiKeyResponse(api_key=packing.api_key_message(api_key))

    async def DeleteApiKey(self, request: pb.DeleteApiKeyRequest, context: Context) -> pb.DeleteApiKeyResponse:
        user_id = parse_uuid(request.user_id, "user_id")
        api_key_id = parse_uuid(request.api_key_id, "api_key_id")
        act = self._parts.act(str(user_id))
        async with self._database.transaction() as c:
            if await api_keys.delete(c, api_key_id, user_id=user_id, act=act):
                await virtual_keys.discard(c, api_key_id, now=act.time)
        if self._parts.virtual:
            self._parts.virtual.deletions.wake()
        await self._parts.announce(user_id, api_key_id)
        return pb.DeleteApiKeyResponse()

    async def ResolveApiKeys(self, request: pb.ResolveApiKeysRequest, context: Context) -> pb.ResolveApiKeysResponse:
        if not 1 <= len(request.secrets) <= MAX_SECRETS:
            raise InvalidArgument(f"secrets must have 1 to {MAX_SECRETS} entries", field="secrets")
        async with self._database.reader() as c:
            found = await api_keys.resolve(c, request.secrets, digester=self._parts.digester, now=self._parts.clock())
        if found.stale:
            # While APP_SECRET_KEY is being changed: a secret is known here and now only. Whoever asks need not care.
            with suppress(Unavailable):
                async with self._database.transaction() as c:
                    await store_api_keys.replace_digests(c, found.stale)
        return pb.ResolveApiKeysResponse(
            resolved=map(self._resolved_message, found.answers), revocation_sequence=found.last_sequence
        )

    async def ResolveApiKeyById(
        self, request: pb.ResolveApiKeyByIdRequest, context: Context
    ) -> pb.ResolveApiKeyByIdResponse:
        user_id = parse_uuid(request.user_id, "user_id")
        api_key_id = parse_uuid(request.api_key_id, "api_key_id")
        async with self._database.reader() as c:
            answer = await api_keys.resolve_by_id(c, api_key_id, user_id=user_id, now=self._parts.clock())
        return pb.ResolveApiKeyByIdResponse(resolved=self._resolved_message(answer))

    async def ListRevocations(self, request: pb.ListRevocationsRequest, context: Context) -> pb.ListRevocationsResponse:
        after = request.after_sequence
        async with self._database.reader() as c:
            found = await store_api_keys.revocations_after(c, after, limit=MAX_REVOCATIONS) if after >= 0 else []
            last_sequence = await store_api_keys.last_revocation(c)
        return pb.ListRevocationsResponse(
            revocations=map(packing.revocation_message, found), last_sequence=last_sequence
        )

    async def ReportApiKeyUse(self, request: pb.ReportApiKeyUseRequest, context: Context) -> pb.ReportApiKeyUseResponse:
        if len(request.uses) > MAX_USES:
            raise InvalidArgument(f"uses must have at most {MAX_USES} entries", field="uses")
        ids = [parse_uuid(use.api_key_id, "uses.api_key_id") for use in request.uses]
        times = [packing.time(use.last_use_time, "uses.last_use_time") for use in request.uses]
        async with self._database.transaction() as c:
            await store_api_keys.note_use(c, ids, times, now=self._parts.clock())
        return pb.ReportApiKeyUseResponse()

    def _resolved_message(self, one: api_keys.Resolved) -> pb.ResolvedApiKey:
        seals = self._parts.seals
        return packing.resolved_message(
            one, virtual_key=seals.open(one.virtual_key_sealed, one.api_key.id) if one.api_key else ""
        )

    async def _new_user(self, request: pb.SignUpRequest | pb.CreateUserRequest, *, role: Role) -> tuple[User, str]:
        email = users.checked_email(request.email)
        users.check_name(request.name)
        passwords.check(request.password)
        password_hash = await self._parts.passwords.hash(request.password)
        now = self._parts.clock()
        user = User(self._parts.ids(), email, request.name, role=role, status="active", create_time=now)
        return user, password_hash
