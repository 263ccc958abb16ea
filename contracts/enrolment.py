"""How a machine becomes a device of a fleet: the one-time token, the request that a device sends over HTTPS, and the answer."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, Field

from contracts.errors import InvalidDocumentError
from contracts.messages import MAX_PEM_CHARS
from contracts.names import DeviceId, LabelKey, LabelValue, Port, TargetName
from contracts.trust import MAX_TRUST_FILE_BYTES

# Routes of the HTTPS port that a machine uses before it has any identity.
CA_PATH = "/api/v1/enrolment/ca.pem"
ENROL_PATH = "/api/v1/enrolment"
MAX_ANSWER_BYTES = MAX_TRUST_FILE_BYTES + 64 * 1024

# An elliptic-curve request or certificate, in its text form.
Pem = Annotated[str, Field(max_length=MAX_PEM_CHARS, pattern=r"^-----BEGIN ")]
# 32 random bytes, in 43 characters.
Secret = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
_TOKEN = re.compile(r"ff1\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class EnrolmentToken:
    """What an operator carries to a machine: which authority to believe, and the right to enter once."""

    # Hex SHA-256 of the fleet authority's certificate in DER: whoever shows another one is not our server.
    ca_sha256: str
    secret: str = field(repr=False)

    def __str__(self) -> str:
        digest = base64.urlsafe_b64encode(bytes.fromhex(self.ca_sha256)).decode().rstrip("=")
        return f"ff1.{digest}.{self.secret}"


def parse_token(text: str) -> EnrolmentToken:
    """Read a token; raise InvalidDocumentError, which does not quote it."""
    match = _TOKEN.fullmatch(text.strip())
    token = EnrolmentToken(base64.urlsafe_b64decode(match[1] + "=").hex(), match[2]) if match else None
    # The last of 43 characters has bits to spare, which must not make two tokens of one.
    if token is None or str(token) != text.strip():
        found = f"{len(text.strip())} other characters; get one with `fieldfare device token`"
        raise InvalidDocumentError("--token", "token", "ff1.AUTHORITY.SECRET, 91 characters", found)
    return token


class EnrolmentRequest(BaseModel, frozen=True, extra="forbid"):
    """POST to ENROL_PATH; the key that signed `csr` stays on the device."""

    secret: Secret
    # Left out, the token names the device.
    device: DeviceId | None = None
    csr: Pem


class Enrolled(BaseModel, frozen=True, extra="ignore"):
    """The answer: who the device is from now on, and what it trusts."""

    device: DeviceId
    hardware: TargetName
    labels: dict[LabelKey, LabelValue] = {}
    # The device's certificate; the authority's own was fetched and checked before.
    certificate: Pem
    # Where the broker listens with TLS.
    broker_host: str
    broker_port: Port
    # The newest TUF root metadata, exactly as it was signed.
    root: Annotated[str, Field(max_length=MAX_TRUST_FILE_BYTES)]


def parse_pairs(option: str, texts: tuple[str, ...], *, may_be_empty: bool = False) -> dict[str, str]:
    """Read KEY=VALUE options, of which a setting's value may be empty; raise InvalidDocumentError."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not (key and separator and (value or may_be_empty)) or key in pairs:
            raise InvalidDocumentError(option, text, "KEY=VALUE, each key once", repr(text))
        pairs[key] = value
    return pairs
