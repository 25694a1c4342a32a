"""Rules of upstreams: sound addresses, and credentials that are sealed at rest."""

from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urlsplit

from kit.database import Connection
from kit.logs import get_logger
from kit.secrets import BrokenSeal, sealer
from services.catalog import checks, store_upstreams
from services.catalog.errors import InvalidValue
from services.catalog.rows import Dialect, Upstream, UpstreamKind

MAX_REQUESTS = 1_000_000

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenUpstream:
    """An upstream with its credential in the clear, "" where there is none; only ever in memory and on our wire."""

    name: str
    kind: UpstreamKind
    base_url: str
    credential: str
    virtual_keys: bool
    max_in_flight: int = 0
    max_queued: int = 0
    dialects: tuple[Dialect, ...] = ()


class Credentials:
    """Seals and opens the credentials of upstreams, each bound to its upstream's name."""

    def __init__(self, app_secret: str, *, previous: str = "") -> None:
        self._sealer = sealer(app_secret, "catalog:upstream-credential", previous=previous)

    def seal(self, upstream: OpenUpstream) -> Upstream:
        """The form that is stored."""
        sealed = self._sealer.seal(upstream.credential.encode(), _label(upstream.name)) if upstream.credential else None
        return Upstream(
            name=upstream.name,
            kind=upstream.kind,
            base_url=upstream.base_url,
            sealed_credential=sealed,
            virtual_keys=upstream.virtual_keys,
            max_in_flight=upstream.max_in_flight,
            max_queued=upstream.max_queued,
            dialects=upstream.dialects,
        )

    def renewed(self, upstream: Upstream) -> Upstream | None:
        """The upstream with its credential sealed under the present secret; None where it is, or cannot be read."""
        if upstream.sealed_credential is None:
            return None
        try:
            sealed = self._sealer.renewed(upstream.sealed_credential, _label(upstream.name))
        except BrokenSeal:
            return None
        return replace(upstream, sealed_credential=sealed) if sealed else None

    def open(self, upstream: Upstream) -> OpenUpstream:
        """The form that is used; a credential sealed with another APP_SECRET_KEY is left out, and the log says so.

        One lost credential must not take the whole catalogue away.
        """
        credential = ""
        if upstream.sealed_credential is not None:
            try:
                credential = self._sealer.open(upstream.sealed_credential, _label(upstream.name)).decode()
            except BrokenSeal:
                log.error("upstream_credential_unreadable", upstream=upstream.name, hint="APP_SECRET_KEY has changed")
        return OpenUpstream(
            name=upstream.name,
            kind=upstream.kind,
            base_url=upstream.base_url,
            credential=credential,
            virtual_keys=upstream.virtual_keys,
            max_in_flight=upstream.max_in_flight,
            max_queued=upstream.max_queued,
            dialects=upstream.dialects,
        )


def sound(upstream: OpenUpstream) -> OpenUpstream:
    """The upstream with its address in the stored form. InvalidValue for what makes no sense."""
    checks.text("name", upstream.name, most=63, form=checks.SLUG)
    checks.text("credential", upstream.credential, most=4096, least=0)
    if not upstream.credential.isascii() or " " in upstream.credential:
        raise InvalidValue("credential must be ASCII without blanks: it is sent in a header", field="credential")
    if upstream.virtual_keys and upstream.kind is not UpstreamKind.LITELLM:
        raise InvalidValue("only a LiteLLM upstream has virtual keys", field="virtual_keys")
    for field in ("max_in_flight", "max_queued"):
        checks.number(field, getattr(upstream, field), least=0, most=MAX_REQUESTS)
    return replace(upstream, base_url=base_url(upstream.base_url))


def base_url(given: str) -> str:
    """An address without trailing slash and without `/v1`: both ways of writing it are in use. Raises InvalidValue."""
    checks.text("base_url", given, most=500)
    parts = _split(given)
    bad = parts is None or parts.scheme not in ("http", "https") or not parts.hostname
    if parts is None or bad or parts.query or parts.fragment or " " in given:
        raise InvalidValue("base_url must look like http://host:port", field="base_url")
    if parts.username is not None or parts.password is not None:
        raise InvalidValue("base_url must not carry a password; use the credential", field="base_url")
    return given.rstrip("/").removesuffix("/v1").rstrip("/")


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts


def keep_credential(upstream: OpenUpstream, old: OpenUpstream | None) -> OpenUpstream:
    """A sound upstream with the credential of the stored one.

    InvalidValue where that would go to another server: who may set an address need not know what is sent there.
    """
    if old is None or not old.credential:
        return replace(upstream, credential="")
    if _origin(upstream.base_url) != _origin(old.base_url):
        raise InvalidValue("credential must be given anew for another server", field="credential")
    return replace(upstream, credential=old.credential)


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.lower()


async def find(connection: Connection, name: str, *, credentials: Credentials) -> OpenUpstream | None:
    """The stored upstream of that name."""
    stored = await store_upstreams.upstream(connection, name)
    return None if stored is None else credentials.open(stored)


async def put(
    connection: Connection, upstream: OpenUpstream, *, old: OpenUpstream | None, credentials: Credentials
) -> OpenUpstream:
    """Add the upstream or replace `old`, the one of its name; nothing is written where it is stored so already.

    Returns it as stored. Raises InvalidValue.
    """
    upstream = sound(upstream)
    if upstream != old:
        await store_upstreams.upsert_upstream(connection, credentials.seal(upstream))
    return upstream


async def renew_seals(connection: Connection, credentials: Credentials) -> int:
    """Seals anew what is still under the application secret before this one; how many that were."""
    renewed = 0
    for upstream in await store_upstreams.upstreams(connection):
        if fresh := credentials.renewed(upstream):
            await store_upstreams.replace_credential(
                connection, upstream.name, fresh.sealed_credential, instead_of=upstream.sealed_credential
            )
            renewed += 1
    return renewed


def _label(name: str) -> bytes:
    return f"upstream:{name}".encode()
