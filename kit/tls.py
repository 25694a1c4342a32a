"""The certificate of this process and whom it believes: checked, and read again when the files change."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import grpc
from prometheus_client import Gauge
from pydantic import AfterValidator

from kit.clock import Clock, utc_now
from kit.logs import get_logger

# What reads certificates is imported where they are read: 40 ms of the start of a process that has none.
if TYPE_CHECKING:
    from cryptography import x509

IDENTITY_PREFIX = "spiffe://privaterouter/"
"""What a certificate's one URI begins with, before the name of who holds it. https://spiffe.io/docs/latest/spiffe-about/spiffe-concepts/"""

CERTIFICATE, KEY, AUTHORITIES = "tls.crt", "tls.key", "ca.crt"
"""The names that cert-manager gives: chain and key in PEM, and the authorities whose certificates are believed."""

LOOK_S = 5.0

log = get_logger()
# By the process's own identity, so that nothing is exported where there is no certificate.
_expiry = Gauge("tls_certificate_expiry_timestamp_seconds", "When this process's certificate ends.", ["identity"])
_rejected = Gauge(
    "tls_certificate_rejected", "1 while the files in TLS_DIR are refused and old ones serve.", ["identity"]
)


class TlsError(ValueError):
    """A file in TLS_DIR that cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Material:
    """What the three files say; `expires` is when the first of them ends."""

    chain: bytes
    key: bytes
    authorities: bytes
    identity: str
    expires: datetime


def read(directory: Path, *, now: datetime) -> Material:
    """The three files, found to fit each other and to be valid at `now`; else TlsError."""
    if not directory.is_dir():
        raise TlsError(f"{directory} is no directory; it should hold {CERTIFICATE}, {KEY} and {AUTHORITIES}")
    certificate, key, authorities = (directory / name for name in (CERTIFICATE, KEY, AUTHORITIES))
    chain_pem, key_pem, authorities_pem = _bytes(certificate), _bytes(key), _bytes(authorities)
    leaf, *between = _certificates(certificate, chain_pem)
    believed = _certificates(authorities, authorities_pem)
    _check_pair(certificate, leaf, key=key, pem=key_pem)
    _check_dates(certificate, [leaf], now=now)
    # An authority that has ended may stand beside its successor.
    _check_dates(authorities, [max(believed, key=lambda each: each.not_valid_after_utc)], now=now)
    if not any(_issued(leaf, issuer) for issuer in (*between, *believed)):
        raise TlsError(f"{certificate} was issued by none of the authorities in {authorities}; put theirs there")
    return Material(
        chain=chain_pem,
        key=key_pem,
        authorities=authorities_pem,
        identity=_identity(certificate, leaf),
        expires=min(leaf.not_valid_after_utc, max(each.not_valid_after_utc for each in believed)),
    )


def _checked(directory: Path) -> Path:
    read(directory, now=utc_now())
    return directory


TlsDir = Annotated[Path, AfterValidator(_checked)]
"""A setting: the directory of `tls.crt`, `tls.key` and `ca.crt`, refused where one of them cannot be used."""


class Tls:
    """The credentials of one process. Those given out are those of the files as they are, while `watch` runs."""

    def __init__(self, directory: Path, *, clock: Clock = utc_now) -> None:
        self._directory = directory
        self._clock = clock
        self._read_state = self._seen_state = _state(directory)
        self._material = read(directory, now=clock())
        self._subscribers: list[Callable[[], None]] = []
        _expiry.labels(self.identity).set(self._material.expires.timestamp())
        _rejected.labels(self.identity).set(0)

    @classmethod
    def of(cls, directory: Path | None) -> "Tls | None":
        """Those of a directory; without one everything stays plaintext. TlsError as `read`."""
        return cls(directory) if directory else None

    @property
    def identity(self) -> str:
        """The name in the certificate."""
        return self._material.identity

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a port that wants certificates of its clients; each new connection gets the present ones."""
        given = self._material

        def changed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            if given is self._material:
                return None
            given = self._material
            return _configuration(given)

        # gRPC's stubs know nothing of the None that its documentation asks for.
        fetch = cast(Callable[[], grpc.ServerCertificateConfiguration], changed)
        return grpc.dynamic_ssl_server_credentials(_configuration(given), fetch, require_client_authentication=True)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a channel, which keeps them: `subscribe` tells when to make a new one."""
        now = self._material
        return grpc.ssl_channel_credentials(now.authorities, now.key, now.chain)

    def subscribe(self, renewed: Callable[[], None]) -> Callable[[], None]:
        """Has `renewed` called after each change; returns what ends that."""
        self._subscribers.append(renewed)
        return lambda: self._subscribers.remove(renewed)

    async def watch(self, interval_s: float = LOOK_S) -> None:
        """Looks for changes until cancelled: one is followed once the files have stayed as they are for a look."""
        while True:
            await asyncio.sleep(interval_s)
            self._look()

    def _look(self) -> None:
        state = _state(self._directory)
        # Whoever writes three files is between two of them at times.
        settled, self._seen_state = state == self._seen_state, state
        if not settled or state == self._read_state:
            return
        self._read_state = state
        try:
            fresh = read(self._directory, now=self._clock())
            if fresh.identity != self.identity:
                raise TlsError(f"{self._directory / CERTIFICATE} is that of {fresh.identity}, not of {self.identity}")
        except TlsError as error:
            _rejected.labels(self.identity).set(1)
            log.error("certificate_refused", error=str(error), old_one_ends=self._material.expires.isoformat())
            return
        _rejected.labels(self.identity).set(0)
        if fresh != self._material:
            self._renew(fresh)

    def _renew(self, fresh: Material) -> None:
        self._material = fresh
        _expiry.labels(self.identity).set(fresh.expires.timestamp())
        log.info("certificate_renewed", identity=self.identity, ends=fresh.expires.isoformat())
        for renewed in list(self._subscribers):
            renewed()


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.chain)], material.authorities)


def _state(directory: Path) -> Sequence[tuple[int, int, int] | None]:
    """Changes when a file does: it is replaced, written, or reached by another link."""
    return [_mark(directory / name) for name in (CERTIFICATE, KEY, AUTHORITIES)]


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise TlsError(f"{file} is missing; put {CERTIFICATE}, {KEY} and {AUTHORITIES} there") from None
    except OSError as error:
        raise TlsError(f"{file} cannot be read: {error.strerror}; give this process's user the right to") from None


def _certificates(file: Path, pem: bytes) -> "list[x509.Certificate]":
    from cryptography import x509  # noqa: PLC0415

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise TlsError(f"{file} holds no certificate in PEM; write it anew") from None


def _check_pair(file: Path, leaf: "x509.Certificate", *, key: Path, pem: bytes) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TlsError(f"{key} holds no private key in PEM without a password; write it anew") from None
    if private.public_key() != leaf.public_key():
        raise TlsError(f"{key} does not belong to {file}; put the two of one certificate there")


def _check_dates(file: Path, certificates: "Sequence[x509.Certificate]", *, now: datetime) -> None:
    for certificate in certificates:
        if certificate.not_valid_after_utc <= now:
            raise TlsError(f"{file} ended at {certificate.not_valid_after_utc.isoformat()}; renew it")
        if certificate.not_valid_before_utc > now:
            begins = certificate.not_valid_before_utc.isoformat()
            raise TlsError(f"{file} begins at {begins} only; is this machine's clock right?")


def _issued(leaf: "x509.Certificate", issuer: "x509.Certificate") -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415

    try:
        leaf.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _identity(file: Path, leaf: "x509.Certificate") -> str:
    from cryptography import x509  # noqa: PLC0415

    uris: list[str] = []
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        pass
    if name := identity_of(uris):
        return name
    raise TlsError(
        f"{file} does not say whose it is; it needs one URI {IDENTITY_PREFIX}NAME among its alternative names"
    )


def identity_of(uris: Sequence[str]) -> str:
    """The name in a certificate's URIs; empty where there is not exactly one of ours."""
    if len(uris) != 1 or not uris[0].startswith(IDENTITY_PREFIX):
        return ""
    return uris[0].removeprefix(IDENTITY_PREFIX)
