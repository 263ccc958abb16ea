"""Makes keys and requests, and checks certificates; a process of its own, so that the control process never loads its library."""

from __future__ import annotations

import sys
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from pydantic import TypeAdapter

from agent import asked
from agent.core.renewal import Believed, Check, Follow, Make, NextKey, Span
from agent.errors import CredentialError
from contracts.names import DeviceId

MAX_QUESTION_BYTES = 64 * 1024
QUESTION: TypeAdapter[Make | Check | Follow] = TypeAdapter(Make | Check | Follow)


def new_key() -> str:
    """Return a P-256 private key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def request_for(key_pem: str, device: DeviceId | None) -> str:
    """Return a request that shows who has the key; raise CredentialError. The fleet decides the name, whatever it says."""
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, device)] if device else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    return builder.sign(_private(key_pem), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def span_of(check: Check) -> Span:
    """Return how long an identity is good; raise CredentialError when it is not this device's, or of no authority that is believed."""
    key = _private(check.identity)
    certificate, *_ = _certificates(check.identity)
    signers = [authority for authority in _certificates(check.authority) if _has_signed(authority, certificate)]
    if not signers:
        raise CredentialError("one signed by the fleet's authority", "another's")
    if certificate.public_key() != key.public_key():
        raise CredentialError("one for the device's own key", "one for another key")
    names = [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [check.device]:
        raise CredentialError(f"one for {check.device}", f"one for {names!r:.80}")
    authority = signers[-1].fingerprint(hashes.SHA256()).hex()
    return Span(begins=_utc(certificate.not_valid_before_utc), ends=_utc(certificate.not_valid_after_utc), authority=authority)


def follow(question: Follow) -> Believed:
    """Return whom to believe from now on: the next authority beside the one that vouches for it; raise CredentialError.

    Its own certificate and the voucher must name the same key, and each be an authority's: a voucher is signed by one that is believed.
    """
    (following, *_), (voucher, *_) = _certificates(question.certificate), _certificates(question.voucher)
    vouching = [authority for authority in _certificates(question.believed) if _has_signed(authority, voucher)]
    if not vouching:
        raise CredentialError("an authority that the fleet's own vouches for", "one that it does not")
    is_same = (following.subject, following.public_key()) == (voucher.subject, voucher.public_key())
    if not is_same or not _has_signed(following, following) or not (_is_authority(following) and _is_authority(voucher)):
        raise CredentialError("a voucher for this very authority", "one for another")
    return Believed(authorities="".join(each.public_bytes(Encoding.PEM).decode() for each in (vouching[-1], following)))


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except (ValueError, TypeError) as error:
        raise CredentialError("certificates in PEM", str(error)[:200]) from error


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, x509.ExtensionNotFound):
        return False


def _private(pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError) as error:
        raise CredentialError("a private key in PEM", "none that can be read") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CredentialError("a P-256 key", type(key).__name__)
    return key


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)


def main() -> None:
    """Answer one question on stdin by one line on stdout, or by one on stderr and status 1."""
    question = QUESTION.validate_json(asked.question(MAX_QUESTION_BYTES))
    try:
        if isinstance(question, Make):
            key = new_key()
            answer: NextKey | Believed | Span = NextKey(key=key, csr=request_for(key, question.device))
        elif isinstance(question, Follow):
            answer = follow(question)
        else:
            answer = span_of(question)
    except CredentialError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_status)
    sys.stdout.write(answer.model_dump_json())


if __name__ == "__main__":
    main()
