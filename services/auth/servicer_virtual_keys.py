"""The RPC that makes virtual keys for API keys without one, and how one is made with a new API key."""

import asyncio
from uuid import UUID

from kit.audit_log import Act
from kit.errors import AppError
from kit.ids import parse_uuid
from kit.interceptors import Context
from kit.logs import get_logger
from kit.paging import page
from privaterouter.auth.v1 import auth_pb2 as pb
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceServicer
from services.auth import api_keys, store_virtual_keys, virtual_keys
from services.auth.errors import VirtualKeysOff, VirtualKeyUncertain
from services.auth.parts import Parts, ProxyParts
from services.auth.rows import ApiKey

MAX_REPAIRS = 20
"""Asked for side by side, so that a page takes hardly longer than one."""

log = get_logger()


class VirtualKeysServicer(AuthServiceServicer):
    """The part of privaterouter.auth.v1.AuthService that works with the upstream proxy."""

    _parts: Parts

    async def RepairVirtualKeys(
        self, request: pb.RepairVirtualKeysRequest, context: Context
    ) -> pb.RepairVirtualKeysResponse:
        virtual = self._parts.virtual
        if virtual is None:
            raise VirtualKeysOff("auth makes no virtual keys: set LITELLM_VIRTUAL_KEYS=true for it")
        limit = page(request.limit, 0, default=MAX_REPAIRS, maximum=MAX_REPAIRS).limit
        after = parse_uuid(request.after_api_key_id, "after_api_key_id") if request.after_api_key_id else UUID(int=0)
        async with self._parts.database.reader() as c:
            found = await store_virtual_keys.without_virtual_key(c, after=after, limit=limit)
        repaired = sum(await asyncio.gather(*(self._repair(api_key, virtual) for api_key in found)))
        return pb.RepairVirtualKeysResponse(
            repaired_count=repaired,
            failed_count=len(found) - repaired,
            next_after_api_key_id=str(found[-1].id) if len(found) == limit else "",
        )

    async def _repair(self, api_key: ApiKey, virtual: ProxyParts) -> bool:
        """Makes the virtual key of an API key that has none; what fails is logged, and leaves none behind."""
        parts = self._parts
        try:
            async with parts.database.transaction() as c:
                if not await virtual_keys.expect(c, api_key.id, now=parts.clock()):
                    return False
            sealed = await self._sealed_virtual_key(api_key, virtual)
            async with parts.database.transaction() as c:
                given = await virtual_keys.give(c, api_key, sealed, now=parts.clock())
        except AppError as error:
            log.warning("virtual_key_not_repaired", api_key_id=str(api_key.id), error=error.message)
            # One that may yet come to be is left to the note, which is due when it surely has.
            if not isinstance(error, VirtualKeyUncertain):
                await self._discard(api_key, virtual)
            return False
        if given:
            virtual.updates.wake()
            await parts.announce(api_key.user_id, api_key.id)
        else:
            virtual.deletions.wake()
        # An API key that is gone needs no virtual key any more.
        return True

    async def _create_with_virtual_key(self, new: api_keys.NewKey, virtual: ProxyParts, act: Act) -> None:
        """Asks the proxy between two transactions; whatever fails, no virtual key is left over."""
        parts, api_key = self._parts, new.api_key
        async with parts.database.transaction() as c:
            await api_keys.require_room(c, api_key.user_id)
            await virtual_keys.expect(c, api_key.id, now=api_key.create_time)
        try:
            sealed = await self._sealed_virtual_key(api_key, virtual)
            async with parts.database.transaction() as c:
                await virtual_keys.keep(c, api_key.id)
                await api_keys.create(c, new, digester=parts.digester, virtual_key_sealed=sealed, act=act)
        except AppError:
            await self._discard(api_key, virtual)
            raise

    async def _sealed_virtual_key(self, api_key: ApiKey, virtual: ProxyParts) -> bytes:
        limit = api_key.settings.monthly_limit_nanos
        made = await virtual.proxy.generate(api_key.id, user_id=api_key.user_id, monthly_limit_nanos=limit)
        return self._parts.seals.seal(made, api_key.id)

    async def _discard(self, api_key: ApiKey, virtual: ProxyParts) -> None:
        async with self._parts.database.transaction() as c:
            await virtual_keys.discard(c, api_key.id, now=self._parts.clock())
        virtual.deletions.wake()
