"""The fleet's certificate authority: touches its key, and signs certificates and the list of those that are revoked."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet.core.enrolment import Issued
from fleet.errors.server import BadRequestError, ForeignAuthorityError
from fleet.files import write_secret, write_whole

AUTHORITY_LIFE = timedelta(days=20 * 365)
# Clocks of people's machines differ a little; devices do not ask when a certificate begins, and the broker has our own clock.
SKEW = timedelta(minutes=5)
# What browsers accept of an authority that a person installed.
SERVER_LIFE = timedelta(days=820)
CURVE = ec.SECP256R1
PRODUCT = "fieldfare fleet authority"


@dataclass(frozen=True)
class Request:
    """A certificate request whose signature shows that the sender has the key."""

    key_sha256: str
    key: ec.EllipticCurvePublicKey


def read_request(csr: str) -> Request:
    """Read a request for a P-256 key, whatever name it claims; raise BadRequestError."""
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, CURVE):
            raise BadRequestError("a P-256 key", type(key).__name__)
        if not request.is_signature_valid:
            raise BadRequestError("a signature by its own key", "another")
    except (ValueError, TypeError, InvalidSignature) as error:
        raise BadRequestError("a PKCS#10 request in PEM", str(error)[:200]) from error
    return Request(_key_digest(key), key)


class Authority:
    """One fleet's root of all certificates; its key never leaves the server's folder."""

    def __init__(self, folder: Path, now: datetime) -> None:
        """Open the authority in `folder`, or found it; raise ForeignAuthorityError when key and certificate do not fit."""
        self._folder = folder
        key_file, self.certificate_file = folder / "ca.key", folder / "ca.pem"
        if not self.certificate_file.exists():  # the last of the two that is written
            _found(key_file, self.certificate_file, now)
        try:
            key = load_pem_private_key(key_file.read_bytes(), None)
            self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise ForeignAuthorityError(str(folder), f"{error}"[:200]) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self._certificate.public_key():
            raise ForeignAuthorityError(str(folder), "a key and a certificate that do not fit")
        self._key = key

    @property
    def pem(self) -> str:
        """The authority's own certificate."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the certificate in DER, which every enrolment token carries."""
        return self._certificate.fingerprint(hashes.SHA256()).hex()

    def issue_client(self, name: str, request: Request, now: datetime, life: timedelta) -> Issued:
        """Sign a device's key, good for nothing but being `name` towards the broker."""
        return self._issue(name, request.key, now, now + life, [(_usage(ExtendedKeyUsageOID.CLIENT_AUTH), True)])

    def own_client(self, name: str, now: datetime) -> Path:
        """Return the file of key and certificate by which a part of the fleet itself is `name` towards the broker; made once.

        It lives as long as the authority beside whose key it lies: a shorter life would protect nothing.
        """
        file = self._folder / f"{name}.pem"
        if not file.exists():
            key = ec.generate_private_key(CURVE())
            ends = self._certificate.not_valid_after_utc
            issued = self._issue(name, key.public_key(), now, ends, [(_usage(ExtendedKeyUsageOID.CLIENT_AUTH), True)])
            write_secret(file, _private_pem(key) + issued.pem.encode())
        return file

    def server_identity(self, names: Sequence[str], now: datetime) -> Path:
        """Return a new file of key and certificate for broker and API, valid for these host names and addresses."""
        key = ec.generate_private_key(CURVE())
        extensions = [
            (_usage(ExtendedKeyUsageOID.SERVER_AUTH), True),
            (x509.SubjectAlternativeName([_host(name) for name in names]), False),
        ]
        ends = min(now + SERVER_LIFE, self._certificate.not_valid_after_utc)
        issued = self._issue(names[0], key.public_key(), now - SKEW, ends, extensions)
        file = self._folder / "server.pem"
        write_secret(file, _private_pem(key) + issued.pem.encode())
        return file

    def revocation_list(self, serials: Sequence[str], now: datetime) -> bytes:
        """Sign the list of certificates that are good no more; it is valid as long as the authority, so that it never locks all out."""
        builder = x509.CertificateRevocationListBuilder(self._certificate.subject).last_update(now - SKEW)
        builder = builder.next_update(self._certificate.not_valid_after_utc)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder(serial_number=int(serial, 16), revocation_date=now - SKEW).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _issue(
        self, name: str, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime, extensions: list[tuple[x509.ExtensionType, bool]]
    ) -> Issued:
        serial = x509.random_serial_number()
        builder = _builder(name, self._certificate.subject, key, serial, begins, ends)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        plain: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_key_usage(signs_certificates=False), True),
            (authority, False),
        ]
        for extension, is_critical in (*plain, *extensions):
            builder = builder.add_extension(extension, is_critical)
        certificate = builder.sign(self._key, hashes.SHA256())
        pem = certificate.public_bytes(Encoding.PEM).decode()
        return Issued(pem, f"{serial:x}", _key_digest(key), begins, certificate.not_valid_after_utc)


def _found(key_file: Path, certificate_file: Path, now: datetime) -> None:
    key = ec.generate_private_key(CURVE())
    # Fleets differ in name, so that two of them in one browser or agent are told apart.
    name = f"{PRODUCT} {_key_digest(key.public_key())[:16]}"
    builder = _builder(name, _subject(name), key.public_key(), x509.random_serial_number(), now - SKEW, now + AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    write_secret(key_file, _private_pem(key))
    write_whole(certificate_file, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, serial: int, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, _subject(name), key, serial)
    return builder.not_valid_before(begins).not_valid_after(ends)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(purpose: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([purpose])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _key_digest(key: ec.EllipticCurvePublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
