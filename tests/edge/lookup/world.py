"""Typed fakes of auth and catalog, and a clock to turn."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kit.ids import IdFactory
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceServicer
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceServicer
from tests.support.fake_money import Away

new_id = IdFactory()


@dataclass
class Clock:
    """Seconds; stands still until a test turns it."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class FakeAuth(AuthServiceServicer):
    keys: dict[str, auth_pb2.ResolvedApiKey] = field(default_factory=dict)
    """By secret."""
    revocations: list[tuple[str, str]] = field(default_factory=list)
    """(API key or empty, user), in order."""
    resolves: list[list[str]] = field(default_factory=list)
    uses: list[dict[str, int]] = field(default_factory=list)
    """Seconds of last use by key, call by call."""
    away: bool = False
    after_reading: Callable[[], Awaitable[None]] | None = None
    """Awaited by ResolveApiKeys between reading and answering."""

    async def ResolveApiKeys(
        self, request: auth_pb2.ResolveApiKeysRequest, context: object
    ) -> auth_pb2.ResolveApiKeysResponse:
        self.resolves.append(list(request.secrets))
        if self.away:
            raise Away("away")
        unknown = auth_pb2.ResolvedApiKey(outcome=auth_pb2.RESOLVE_OUTCOME_UNKNOWN)
        answer = auth_pb2.ResolveApiKeysResponse(
            resolved=[self.keys.get(secret, unknown) for secret in request.secrets],
            revocation_sequence=len(self.revocations),
        )
        if self.after_reading:
            await self.after_reading()
        return answer

    async def ListRevocations(
        self, request: auth_pb2.ListRevocationsRequest, context: object
    ) -> auth_pb2.ListRevocationsResponse:
        if self.away:
            raise Away("away")
        answer = auth_pb2.ListRevocationsResponse(last_sequence=len(self.revocations))
        if request.after_sequence >= 0:
            for number, (api_key_id, user_id) in enumerate(self.revocations, 1):
                if number > request.after_sequence and len(answer.revocations) < 1_000:
                    answer.revocations.add(sequence=number, api_key_id=api_key_id, user_id=user_id)
        return answer

    async def ReportApiKeyUse(
        self, request: auth_pb2.ReportApiKeyUseRequest, context: object
    ) -> auth_pb2.ReportApiKeyUseResponse:
        self.uses.append({use.api_key_id: use.last_use_time.seconds for use in request.uses})
        if self.away:
            raise Away("away")
        return auth_pb2.ReportApiKeyUseResponse()


@dataclass
class FakeCatalog(CatalogServiceServicer):
    answer: catalog_pb2.GetCatalogResponse = field(default_factory=lambda: catalog_pb2.GetCatalogResponse(version=1))
    away: bool = False

    async def GetCatalog(
        self, request: catalog_pb2.GetCatalogRequest, context: object
    ) -> catalog_pb2.GetCatalogResponse:
        if self.away:
            raise Away("away")
        if request.known_version == self.answer.version:
            return catalog_pb2.GetCatalogResponse(version=self.answer.version, unchanged=True)
        return self.answer


def active_key(*, account_id: str = "", monthly_limit_nanos: int | None = None) -> auth_pb2.ResolvedApiKey:
    """A key that may be used, with new ids."""
    resolved = auth_pb2.ResolvedApiKey(outcome=auth_pb2.RESOLVE_OUTCOME_ACTIVE, account_id=account_id or str(new_id()))
    resolved.api_key.id = str(new_id())
    if monthly_limit_nanos is not None:
        resolved.api_key.monthly_limit_nanos = monthly_limit_nanos
    return resolved
