"""Makes certificates: a root of all, what it signs, the list of those that are revoked, and one root's word for the next."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet.core.enrolment import Issued
from fleet.errors.server import BadRequestError, ForeignAuthorityError

ROOT_LIFE = timedelta(days=20 * 365)
# Clocks of people's machines differ a little; devices do not ask when a certificate begins, and the broker has our own clock.
SKEW = timedelta(minutes=5)
# What browsers accept of an authority that a person installed.
SERVER_LIFE = timedelta(days=820)
CURVE = ec.SECP256R1
PRODUCT = "fieldfare fleet authority"

Extension = tuple[x509.ExtensionType, bool]


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
    return Request(key_digest(key), key)


class Root:
    """One self-signed certificate and its key; nothing here touches a disk."""

    def __init__(self, key_pem: bytes, certificate_pem: bytes, name: str) -> None:
        """Take both in PEM; raise ForeignAuthorityError, naming them `name`, when they are none or do not fit."""
        try:
            key = load_pem_private_key(key_pem, None)
            self._certificate = x509.load_pem_x509_certificate(certificate_pem)
        except (ValueError, TypeError) as error:
            raise ForeignAuthorityError(name, f"{error}"[:200]) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self._certificate.public_key():
            raise ForeignAuthorityError(name, "a key and a certificate that do not fit")
        self._key = key

    @property
    def pem(self) -> str:
        """The certificate."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the certificate in DER."""
        return self._certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def ends_at(self) -> datetime:
        """When it is believed no more."""
        return self._certificate.not_valid_after_utc

    @property
    def hash_name(self) -> str:
        """Return the name under which OpenSSL looks for it in a folder of authorities: X509_NAME_hash, in eight hex digits.

        It is of the name's canonical form: lower case, UTF8String, without the sequence around it. Ours has one short part.
        """
        (attribute,) = self._certificate.subject
        value = str(attribute.value).lower().encode()
        pair = b"\x06\x03\x55\x04\x03\x0c" + bytes((len(value),)) + value
        canonical = b"\x31" + bytes((len(pair) + 2,)) + b"\x30" + bytes((len(pair),)) + pair
        # The hash's purpose is to find a file, as OpenSSL does.
        digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
        return f"{int.from_bytes(digest[:4], 'little'):08x}"

    def has_signed(self, certificate_pem: bytes) -> bool:
        """Say whether a certificate is one of its own."""
        try:
            x509.load_pem_x509_certificate(certificate_pem).verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def client(self, name: str, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime) -> Issued:
        """Sign a key, good for nothing but being `name` towards the broker."""
        return self._issue(name, key, begins, ends, [(_usage(ExtendedKeyUsageOID.CLIENT_AUTH), True)])

    def server(self, names: Sequence[str], now: datetime) -> bytes:
        """Return a new key and its certificate for broker and API, valid for these host names and addresses."""
        key = ec.generate_private_key(CURVE())
        extensions: list[Extension] = [
            (_usage(ExtendedKeyUsageOID.SERVER_AUTH), True),
            (x509.SubjectAlternativeName([_host(name) for name in names]), False),
        ]
        issued = self._issue(names[0], key.public_key(), now - SKEW, min(now + SERVER_LIFE, self.ends_at), extensions)
        return private_pem(key) + issued.pem.encode()

    def revocation_list(self, serials: Sequence[str], now: datetime) -> bytes:
        """Sign the list of certificates that are good no more; it is valid as long as the root, so that it never locks all out."""
        builder = x509.CertificateRevocationListBuilder(self._certificate.subject).last_update(now - SKEW).next_update(self.ends_at)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder(serial_number=int(serial, 16), revocation_date=now - SKEW).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def vouch_for(self, following: Root, now: datetime) -> str:
        """Return the next root's name and key under our signature: `NewWithOld` of RFC 4210, 4.4. Whoever believes us may believe it."""
        ends = min(self.ends_at, following.ends_at)
        subject, serial = following._certificate.subject, x509.random_serial_number()
        builder = x509.CertificateBuilder(self._certificate.subject, subject, following._key.public_key(), serial)
        builder = builder.not_valid_before(now - SKEW).not_valid_after(ends)
        return _as_root(builder, following._key).sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _issue(self, name: str, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime, extensions: list[Extension]) -> Issued:
        serial = x509.random_serial_number()
        builder = x509.CertificateBuilder(self._certificate.subject, _subject(name), key, serial)
        builder = builder.not_valid_before(begins).not_valid_after(ends)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        plain: list[Extension] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_key_usage(signs_certificates=False), True),
            (authority, False),
        ]
        for extension, is_critical in (*plain, *extensions):
            builder = builder.add_extension(extension, is_critical)
        certificate = builder.sign(self._key, hashes.SHA256())
        pem = certificate.public_bytes(Encoding.PEM).decode()
        return Issued(pem, f"{serial:x}", key_digest(key), begins, certificate.not_valid_after_utc)


def new_root(now: datetime) -> tuple[bytes, bytes]:
    """Return a new root's key and certificate in PEM."""
    key = ec.generate_private_key(CURVE())
    # Fleets differ in name, so that two of them in one browser or agent are told apart; and so do a fleet's roots.
    name = _subject(f"{PRODUCT} {key_digest(key.public_key())[:16]}")
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = _as_root(builder.not_valid_before(now - SKEW).not_valid_after(now + ROOT_LIFE), key)
    return private_pem(key), builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def key_of(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a private key that was made here."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as it is kept."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_digest(key: ec.EllipticCurvePublicKey) -> str:
    """Return the hex SHA-256 of a public key."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _as_root(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


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
