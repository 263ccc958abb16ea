"""Whom a device believes after a word on the broker: the next authority if its own vouches for it, and nobody else whoever says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent.adapters.identity import fingerprints
from agent.core.renewal import Check, Follow
from agent.credential import follow, new_key, request_for, span_of
from agent.errors import CredentialError
from fleet.authority import Authority
from fleet.certificates import Root, new_root, read_request

NOW = datetime.now(timezone.utc)


def root() -> Root:
    return Root(*new_root(NOW), "a root")


def device_of(signer: Root) -> str:
    request = read_request(request_for(new_key(), "pi-1"))
    return signer.client("pi-1", request.key, NOW, NOW + timedelta(days=1)).pem


def test_the_next_authority_is_believed_beside_the_one_that_vouches_for_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path, NOW)
    following = authority.succeed(NOW)

    believed = follow(Follow(believed=authority.pem, certificate=following.root.pem, voucher=following.voucher)).authorities

    assert fingerprints(believed) == [authority.fingerprint, following.root.fingerprint]
    # The same word again changes nothing, and certificates of either are good
    assert follow(Follow(believed=believed, certificate=following.root.pem, voucher=following.voucher)).authorities == believed
    key = new_key()
    request = read_request(request_for(key, "pi-1"))
    for name in (None, following.root.fingerprint):
        issued = authority.issue_client("pi-1", request, NOW, timedelta(days=1), name)
        span = span_of(Check(device="pi-1", identity=key + issued.pem, authority=believed))
        assert span.authority == (name or authority.fingerprint)


def test_a_third_one_takes_the_place_of_the_first() -> None:
    first, second, third = root(), root(), root()
    believed = follow(Follow(believed=first.pem, certificate=second.pem, voucher=first.vouch_for(second, NOW))).authorities

    believed = follow(Follow(believed=believed, certificate=third.pem, voucher=second.vouch_for(third, NOW))).authorities

    assert fingerprints(believed) == [second.fingerprint, third.fingerprint]


def by_a_stranger(ours: Root, other: Root) -> tuple[str, str]:
    """A voucher of somebody who is not believed."""
    return other.pem, root().vouch_for(other, NOW)


def by_itself(ours: Root, other: Root) -> tuple[str, str]:
    """No voucher but the certificate itself."""
    return other.pem, other.pem


def for_another(ours: Root, other: Root) -> tuple[str, str]:
    """A genuine voucher, for another authority."""
    return other.pem, ours.vouch_for(root(), NOW)


def a_device(ours: Root, other: Root) -> tuple[str, str]:
    """A device's genuine certificate in both places: its owner would make himself an authority."""
    certificate = device_of(ours)
    return certificate, certificate


def not_its_own(ours: Root, other: Root) -> tuple[str, str]:
    """A voucher in place of the certificate."""
    voucher = ours.vouch_for(other, NOW)
    return voucher, voucher


def rubbish(ours: Root, other: Root) -> tuple[str, str]:
    """No certificates."""
    return "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x"


@pytest.mark.parametrize("made_up", [by_a_stranger, by_itself, for_another, a_device, not_its_own, rubbish])
def test_an_authority_that_ours_does_not_vouch_for_is_not_believed(made_up: Callable[[Root, Root], tuple[str, str]]) -> None:
    ours = root()
    certificate, voucher = made_up(ours, root())

    with pytest.raises(CredentialError):
        follow(Follow(believed=ours.pem, certificate=certificate, voucher=voucher))
