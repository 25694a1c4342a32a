"""Which caller a secret belongs to, remembered for 30 s and forgotten as soon as the key changes."""

from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic

from edge.batch import Batcher
from edge.errors import EdgeError, from_remote, unavailable
from edge.lookup.cache import Cache
from edge.lookup.callers import Caller
from kit.clock import Clock, utc_now
from kit.errors import RemoteError
from kit.logs import get_logger
from kit.timestamps import from_proto, to_proto
from kit.tokens import has_valid_form
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub

PREFIX = "sk-pr-live-"
TTL_S = 30.0
REFUSED_TTL_S = 5.0
MAX_KNOWN = 100_000
MAX_REFUSED = 10_000
MAX_USES = 10_000
"""In one call, by the contract."""
_TRIES = 3
_WHY = {
    auth_pb2.RESOLVE_OUTCOME_UNKNOWN: "This API key is not valid."
    " Check that it was copied whole, or create a new one in the dashboard.",
    auth_pb2.RESOLVE_OUTCOME_DISABLED: "This API key is switched off. Switch it on in the dashboard, or use another.",
    auth_pb2.RESOLVE_OUTCOME_EXPIRED: "This API key has expired. Create a new one in the dashboard.",
    auth_pb2.RESOLVE_OUTCOME_OWNER_DISABLED: "The account of this API key is disabled. Ask the operator.",
}

log = get_logger()

_Resolved = tuple[auth_pb2.ResolvedApiKey, int]
"""The answer, and the last change that it reflects."""


class ApiKeys:
    """Resolved API keys. `cached` first; `resolve` where it knows nothing."""

    def __init__(self, auth: AuthServiceStub, *, clock: Callable[[], float] = monotonic, now: Clock = utc_now) -> None:
        self._auth = auth
        self._clock = clock
        self._now = now
        self._known: Cache[Caller] = Cache(ttl_s=TTL_S, most=MAX_KNOWN, clock=clock)
        self._refused: Cache[auth_pb2.ResolveOutcome.ValueType] = Cache(
            ttl_s=REFUSED_TTL_S, most=MAX_REFUSED, clock=clock
        )
        self.hits = 0
        """Look-ups that were answered from here, and below those for which auth was asked."""
        self.misses = 0
        self._uses: dict[str, datetime] = {}
        self._ask: Batcher[str, _Resolved] = Batcher(self._resolve_all, most=1_000, in_flight=4)

    def cached(self, secret: str) -> Caller | None:
        """The caller, if known and not too old; a look-up in a dict."""
        known = self._known.get(secret)
        if known is not None:
            self.hits += 1
        return known

    async def resolve(self, secret: str) -> Caller:
        """The caller; misses of the same moment are asked for in one call.

        EdgeError invalid_api_key where the key is malformed, unknown, disabled, expired or deleted;
        service_unavailable where auth cannot be asked.
        """
        if not has_valid_form(PREFIX, secret):
            raise refusal(auth_pb2.RESOLVE_OUTCOME_UNKNOWN)
        if (known := self.cached(secret)) is not None:
            return known
        if (outcome := self._refused.get(secret)) is not None:
            self.hits += 1
            raise refusal(outcome)
        self.misses += 1
        attempt = 0
        while True:
            attempt += 1
            asked_s = self._clock()
            resolved, sequence = await self._ask(secret)
            if resolved.outcome != auth_pb2.RESOLVE_OUTCOME_ACTIVE:
                if not self._known.changed_since(asked_s):
                    self._refused.put(secret, resolved.outcome, about=())
                raise refusal(resolved.outcome)
            caller = unpack(resolved)
            about = (caller.api_key_id, caller.account_id)
            if not self._known.outdated(about, asked_s=asked_s, sequence=sequence):
                self._known.put(secret, caller, about=about, within_s=self._remaining_s(caller))
            elif attempt < _TRIES:
                continue
            # One that changes faster than we can ask is answered, but not kept.
            return caller

    def note_use(self, caller: Caller) -> None:
        """Notes that the key was used now; auth is told every 10 s."""
        if caller.api_key_id in self._uses or len(self._uses) < MAX_KNOWN:
            self._uses[caller.api_key_id] = self._now()

    async def report_uses(self) -> None:
        """Tells auth which keys were used; those that it could not be told of are kept for the next time."""
        uses, self._uses = list(self._uses.items()), {}
        for start in range(0, len(uses), MAX_USES):
            request = auth_pb2.ReportApiKeyUseRequest(
                uses=[
                    auth_pb2.ApiKeyUse(api_key_id=api_key_id, last_use_time=to_proto(time))
                    for api_key_id, time in uses[start : start + MAX_USES]
                ]
            )
            try:
                await self._auth.ReportApiKeyUse(request)
            except RemoteError as error:
                log.warning("api_key_use_not_reported", keys=len(uses) - start, error=str(error))
                # Newer uses, noted meanwhile, win.
                self._uses = dict(uses[start:]) | self._uses
                return

    def drop(self, api_key_id: str, user_id: str, sequence: int | None = None) -> None:
        """Forgets a key that has changed; an empty `api_key_id` stands for all keys of the user.

        `sequence` is the number of the revocation, where it is known.
        """
        self._known.drop(api_key_id or user_id, sequence)
        # A refused secret does not say whose it is.
        self._refused.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._known.clear()
        self._refused.clear()

    @property
    def entries(self) -> int:
        """How many answers are kept."""
        return len(self._known) + len(self._refused)

    async def close(self) -> None:
        """Ends the calls under way and reports the last uses."""
        await self._ask.close()
        await self.report_uses()

    async def _resolve_all(self, secrets: list[str]) -> Sequence[_Resolved]:
        unique = list(dict.fromkeys(secrets))
        try:
            answer = await self._auth.ResolveApiKeys(auth_pb2.ResolveApiKeysRequest(secrets=unique))
        except RemoteError as error:
            log.warning("api_keys_not_resolved", keys=len(unique), error=str(error))
            raise from_remote(error) from error
        by_secret = dict(zip(unique, answer.resolved, strict=True))
        return [(by_secret[secret], answer.revocation_sequence) for secret in secrets]

    def _remaining_s(self, caller: Caller) -> float | None:
        return (caller.expire_time - self._now()).total_seconds() if caller.expire_time else None


def unpack(resolved: auth_pb2.ResolvedApiKey) -> Caller:
    """The caller in an answer about an active key."""
    key = resolved.api_key
    return Caller(
        api_key_id=key.id,
        account_id=resolved.account_id,
        monthly_limit_nanos=key.monthly_limit_nanos if key.HasField("monthly_limit_nanos") else None,
        allowed_models=frozenset(key.allowed_models),
        rpm_limit=key.rpm_limit if key.HasField("rpm_limit") else None,
        expire_time=from_proto(key.expire_time) if key.HasField("expire_time") else None,
        virtual_key=resolved.virtual_key,
        tpm_limit=key.tpm_limit if key.HasField("tpm_limit") else None,
        max_in_flight=key.max_in_flight if key.HasField("max_in_flight") else None,
        keeps_answers=key.keeps_answers,
    )


def refusal(outcome: auth_pb2.ResolveOutcome.ValueType, code: str = "invalid_api_key") -> EdgeError:
    """Why a key may not be used, in words; "cannot tell" is a 503."""
    if outcome not in _WHY:
        return unavailable()
    return EdgeError(code, _WHY[outcome])
