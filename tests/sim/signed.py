"""What a fleet says to a device, signed: wishes and commands."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta, timezone

from pydantic import BaseModel
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from contracts import codec
from contracts.commands import Command, Order
from contracts.configuration import Configuration
from contracts.downlinks import Desired, ShadowWish
from contracts.trust import DESIRED_PAYLOAD_TYPE
from tests.sim.releases import Release
from tests.sim.repository import LIFE


def envelope(desired: Desired, signer: CryptoSigner) -> bytes:
    """Sign a wish."""
    return sealed(desired, DESIRED_PAYLOAD_TYPE, signer)


def sealed(document: BaseModel, payload_type: str, signer: CryptoSigner) -> bytes:
    """Sign any document."""
    signed = Envelope(codec.encode(document), payload_type, {})
    signed.sign(signer)
    return codec.canonical(signed.to_dict())


def command_for(device: str, order: Order, *, expires_in: timedelta = timedelta(minutes=5), now: datetime | None = None) -> Command:
    """Return an unsigned command; one that has ended was issued in time."""
    now = now or datetime.now(timezone.utc)
    issued_at = min(now, now + expires_in - timedelta(minutes=1))
    number = secrets.token_hex(16)
    return Command(id=number, device=device, asker="anna", issued_at=issued_at, expires_at=now + expires_in, order=order)


def wish_for(
    device: str,
    generation: int,
    releases: tuple[Release, ...],
    *,
    expires_in: timedelta = LIFE,
    now: datetime | None = None,
    configuration: Configuration | None = None,
    shadow: dict[str, ShadowWish] | None = None,
    nonce: str | None = None,
) -> Desired:
    """Return an unsigned wish."""
    now = now or datetime.now(timezone.utc)
    models = {release.manifest.name: release.ref for release in releases}
    expires_at = now + expires_in
    stamps = {"device": device, "generation": generation, "issued_at": now, "expires_at": expires_at}
    return Desired(**stamps, models=models, configuration=configuration, shadow=shadow, nonce=nonce)
