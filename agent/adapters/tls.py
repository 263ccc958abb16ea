"""Touches TLS: the one context for every connection to the fleet, which believes its authority alone and our own idea of the time."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which the ssl module has no name.
NO_CHECK_TIME = 0x200000


def fleet_context(
    authority: str, identity_file: Path | None, now: Callable[[], datetime], meet: Callable[[str], None] | None = None
) -> ssl.SSLContext:
    """Return a context that believes the `authority`, in PEM, alone and shows our certificate; raise OSError for unusable ones.

    There may be several, while one follows another; `meet` hears the fingerprint of the one by which a peer has shown itself.

    `now` is the judged time. A certificate that has ended before it is refused. One that begins after it is not: the signature on it
    vouches for its first day, so it is our clock that is behind, as that of a Pi without a battery is.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=authority)
    if identity_file is not None:
        context.load_cert_chain(identity_file)
    context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    context.sslsocket_class, context.sslobject_class = _clocked(now, _introduction(context, meet))
    return context


def _introduction(context: ssl.SSLContext, meet: Callable[[str], None] | None) -> Callable[[Mapping[str, object]], None]:
    raw = context.get_ca_certs(binary_form=True)
    fingerprints = {str(found["subject"]): hashlib.sha256(der).hexdigest() for found, der in zip(context.get_ca_certs(), raw, strict=True)}

    def introduce(certificate: Mapping[str, object]) -> None:
        fingerprint = fingerprints.get(str(certificate["issuer"]))
        if meet is not None and fingerprint is not None:
            meet(fingerprint)

    return introduce


def _clocked(
    now: Callable[[], datetime], introduce: Callable[[Mapping[str, object]], None]
) -> tuple[type[ssl.SSLSocket], type[ssl.SSLObject]]:
    """Return classes that check the peer's last day as part of the handshake, before a byte of ours is sent."""

    def check_last_day(found: Mapping[str, object] | None) -> None:
        if not found:
            return  # the context demands no certificate
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), timezone.utc)
        if ends <= now():
            raise ssl.SSLCertVerificationError(f"certificate of the server: expected one that has not ended, found {ends.isoformat()}")
        introduce(found)

    class ClockedSocket(ssl.SSLSocket):
        """Is closed when the handshake fails."""

        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
                check_last_day(self.getpeercert())
            except OSError:
                self.close()  # not every caller does
                raise

    class ClockedObject(ssl.SSLObject):
        """Leaves the socket to its owner."""

        def do_handshake(self) -> None:
            super().do_handshake()
            check_last_day(self.getpeercert())

    return ClockedSocket, ClockedObject
