"""Makes the certificates by which our processes know each other, where nothing else (such as cert-manager) does."""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kit.tls import AUTHORITIES, CERTIFICATE, IDENTITY_PREFIX, KEY

AUTHORITY = "authority"
"""Folder of the authority, whose key only this program needs."""
LASTS = timedelta(days=365)
AUTHORITY_LASTS = timedelta(days=3650)
RENEWED_BEFORE = timedelta(days=30)
_CLOCKS_DIFFER = timedelta(minutes=5)


class CertificatesError(Exception):
    """Certificates that cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> tuple[bytes, bytes]:
        """Both in PEM."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.certificate.public_bytes(Encoding.PEM), key


def authority(*, now: datetime) -> Pair:
    """A new authority of our own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("PrivateRouter services")
    builder = (
        _begun(name, issuer=name, key=key, now=now, ends=now + AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(by: Pair, identity: str, *, names: Sequence[str], now: datetime, lasts: timedelta = LASTS) -> Pair:
    """A certificate of `identity`, which with `names` (of hosts, or addresses) also serves under those."""
    key = ec.generate_private_key(ec.SECP256R1())
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if names else [])]
    ends = min(now + lasts, by.certificate.not_valid_after_utc)
    builder = (
        _begun(_named(identity), issuer=by.certificate.subject, key=key, now=now, ends=ends)
        .add_extension(_alternatives(identity, names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
    )
    return Pair(builder.sign(by.key, hashes.SHA256()), key)


def write(pair: Pair, directory: Path, *, believed: x509.Certificate | None = None) -> None:
    """The pair, and whom to believe, as the files of a TLS_DIR; keys for the owner only."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate, key = pair.pem()
    _replace(directory / KEY, key, mode=0o600)
    _replace(directory / CERTIFICATE, certificate, mode=0o644)
    if believed:
        _replace(directory / AUTHORITIES, believed.public_bytes(Encoding.PEM), mode=0o644)


def bring_up_to_date(directory: Path, identities: Mapping[str, Sequence[str]], *, now: datetime) -> list[str]:
    """An authority, and a folder with a certificate for each identity (and its host names) under `directory`.

    What is missing is made, what ends in less than 30 days or is for other names is made anew, the rest stays. Returns
    the identities whose certificate is new. CertificatesError where the authority cannot go on; OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(directory):
        by = _authority(directory / AUTHORITY, now=now)
        made = []
        for identity, names in identities.items():
            folder = directory / identity
            if not _still_good(folder, by, alternatives=_alternatives(identity, names), now=now):
                write(issue(by, identity, names=names, now=now), folder, believed=by.certificate)
                made.append(identity)
        return made


def _authority(folder: Path, *, now: datetime) -> Pair:
    pair = _found(folder)
    if pair is None:
        if (folder / CERTIFICATE).exists():
            raise CertificatesError(f"{folder} holds no usable {CERTIFICATE} and {KEY}: put them back, or {_ANEW}")
        pair = authority(now=now)
        write(pair, folder)
    elif pair.certificate.not_valid_after_utc - now < RENEWED_BEFORE:
        raise CertificatesError(f"The authority in {folder} ends at {pair.certificate.not_valid_after_utc}: {_ANEW}")
    return pair


_ANEW = "move the whole directory away to begin anew, then restart every process."


def _still_good(folder: Path, by: Pair, *, alternatives: x509.SubjectAlternativeName, now: datetime) -> bool:
    pair = _found(folder)
    if pair is None or not (folder / AUTHORITIES).exists():
        return False
    certificate = pair.certificate
    try:
        certificate.verify_directly_issued_by(by.certificate)
    except (ValueError, InvalidSignature):
        return False
    same = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == alternatives
    return same and certificate.not_valid_after_utc - now >= RENEWED_BEFORE


def _found(folder: Path) -> Pair | None:
    """The pair in a folder, if there is one whose parts belong together."""
    with suppress(FileNotFoundError, ValueError):
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        key = load_pem_private_key((folder / KEY).read_bytes(), password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key():
            return Pair(certificate, key)
    return None


def _begun(
    subject: x509.Name, *, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternatives(identity: str, names: Sequence[str]) -> x509.SubjectAlternativeName:
    uri = x509.UniformResourceIdentifier(IDENTITY_PREFIX + identity)
    return x509.SubjectAlternativeName([uri, *map(_general_name, names)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _replace(file: Path, content: bytes, *, mode: int) -> None:
    """Writes a file so that a reader sees the old one or the new one, and nobody else ever sees a key."""
    part = file.with_name(f".{file.name}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as written:
        os.fchmod(written.fileno(), mode)
        written.write(content)
    part.replace(file)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Waits until no other process works in the directory."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
