"""Keys that come and go: what the server follows, what it refuses, and what a device with the real verifier makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import Root, Targets

from fleet.errors.keys import (
    ForeignTrustError,
    KeyExistsError,
    KeyFileError,
    ThresholdError,
    UnknownKeyError,
    UntrustedChangeError,
    WrongKeyError,
)
from fleet.errors.releases import UntrustedReleaseError
from fleet.errors.server import LinkDownError
from fleet.release import metadata, rotation
from fleet.release.description import describe
from fleet.release.founding import Office as Holders
from fleet.release.founding import write_server_folder
from fleet.release.keys import KeyFolder, make_key, open_key, read_public_key
from fleet.release.metadata import RoleKeys
from fleet.release.pending import Pending, missing, signed_by
from fleet.release.repository import Repository
from fleet.release.rotation import Succession, leaving
from fleet.release.signing import sign_release
from fleet.release.trust_desk import TrustDesk
from fleet.requests.releases import TrustChange
from tests.fleet.office import NOW, TrustOffice


@pytest.fixture
def office(tmp_path: Path) -> TrustOffice:
    return TrustOffice(tmp_path)


def online_key(office: TrustOffice, role: str) -> Key:
    assert role in ("snapshot", "timestamp", "director")
    key = office.trust.new_key(role)  # type: ignore[arg-type]  # mypy does not narrow a str by a membership test
    return Key.from_dict(key.key_id, dict(key.key))


def rotated(office: TrustOffice, role: str, fresh: tuple[Key, ...], *, threshold: int | None = None) -> Pending:
    root = metadata.read(Root, office.repository.read("root.json")).signed
    return rotation.rotate(office.published(), role, Succession(fresh, leaving(root, role, ()), threshold), NOW)


def delegated(office: TrustOffice, model: str, *members: CryptoSigner, threshold: int = 1) -> Pending:
    return rotation.delegate(office.published(), model, RoleKeys(tuple(member.public_key for member in members), threshold), NOW)


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_an_online_key_is_replaced_by_the_roots_and_the_device_follows(office: TrustOffice, role: str) -> None:
    manifest = office.bundle(1)
    office.release(manifest, office.releaser)
    assert office.verdict(manifest) == "verified"
    before = office.keys.signer(role).public_key.keyid

    office.change(rotated(office, role, (online_key(office, role),)), *office.roots[:2])

    assert office.keys.signer(role).public_key.keyid != before
    assert office.verdict(manifest) == "verified"


def test_the_roots_themselves_are_replaced_and_the_old_ones_have_no_say_any_more(office: TrustOffice) -> None:
    new = [CryptoSigner.generate_ed25519() for _ in range(2)]
    office.change(rotated(office, "root", tuple(each.public_key for each in new)), *office.roots[1:], *new)

    assert office.verdict() == "verified"
    change = rotated(office, "timestamp", (online_key(office, "timestamp"),))
    with pytest.raises(WrongKeyError):
        office.change(change, *office.roots[:2])
    office.change(change, *new)
    assert office.verdict() == "verified"


def test_a_lost_root_key_is_replaced_by_the_others(office: TrustOffice) -> None:
    new, lost = CryptoSigner.generate_ed25519(), office.roots[0].public_key.keyid
    root = metadata.read(Root, office.repository.read("root.json")).signed
    gone = leaving(root, "root", [lost[:8]])
    office.change(rotation.rotate(office.published(), "root", Succession((new.public_key,), gone), NOW), *office.roots[1:], new)

    after = metadata.read(Root, office.repository.read("root.json")).signed.roles["root"]
    assert set(after.keyids) == {new.public_key.keyid, *(each.public_key.keyid for each in office.roots[1:])}
    assert after.threshold == 2
    with pytest.raises(UnknownKeyError, match="found 0"):
        leaving(root, "root", ["zz"])


def test_one_root_signature_of_two_is_too_few_for_the_server_and_for_the_device(office: TrustOffice) -> None:
    change = rotated(office, "timestamp", (online_key(office, "timestamp"),))
    half = signed_by(change, office.roots[0], "root-1")
    assert missing(half)[0].startswith("root.json: 1 more of ")

    with pytest.raises(UntrustedChangeError, match=r"root\.json: expected signatures by enough"):
        office.change(change, office.roots[0])
    assert half.change is not None
    assert half.change.root is not None
    published = {**office.repository.published(), "2.root.json": half.change.root.encode()}
    assert office.device.hear(published, office.wish()) == "forged"


def test_new_release_keys_sign_from_now_on_and_the_old_one_no_more(office: TrustOffice) -> None:
    first = office.bundle(1)
    office.release(first, office.releaser)
    new = [CryptoSigner.generate_ed25519() for _ in range(2)]
    office.change(rotated(office, "targets", tuple(each.public_key for each in new), threshold=2), *office.roots[:2], *new)
    assert office.verdict(first) == "verified"

    second = office.bundle(2)
    with pytest.raises(WrongKeyError):
        office.release(second, office.releaser)
    with pytest.raises(UntrustedReleaseError, match="expected a signature"):
        office.release(second, new[0])
    office.release(second, *new)
    assert office.verdict(second) == "verified"


def test_another_director_is_followed_and_a_wish_of_the_one_before_is_refused(office: TrustOffice) -> None:
    old = office.wish()
    assert office.device.hear(office.repository.published(), old) == "verified"

    office.change(rotation.rotate_director(office.published(), online_key(office, "director"), NOW), office.releaser)

    assert office.verdict() == "verified"
    assert office.device.hear(office.repository.published(), old) == "forged"


def test_after_a_theft_of_all_online_keys_new_ones_bring_device_and_server_back_together(office: TrustOffice) -> None:
    # Given a thief who counted versions, generations and time far up
    assert office.verdict() == "verified"
    thief = Repository(office.folder / "stolen", office.keys)
    thief.replace(office.repository.published(), NOW)
    for _ in range(5):
        thief.refresh(NOW + timedelta(days=300))
    office.generation = 10**6
    assert office.device.hear(thief.published(), office.wish()) == "verified"
    office.generation = 5
    assert office.verdict() in ("rollback", "freeze")
    # When the offline keys name others
    for role in ("snapshot", "timestamp"):
        office.change(rotated(office, role, (online_key(office, role),)), *office.roots[:2])
    office.change(rotation.rotate_director(office.published(), online_key(office, "director"), NOW), office.releaser)
    # Then the device hears its fleet again, and the thief no more
    assert office.verdict() == "verified"
    assert office.device.hear({"timestamp.json": thief.published()["timestamp.json"]}, office.wish()) != "verified"


def test_any_old_message_again_brings_no_old_wish_back(office: TrustOffice) -> None:
    # Given all that a broker ever retained, over two releases and a change of each online key
    retained: list[tuple[str, bytes]] = []
    wishes = [office.wish()]
    for release in (1, 2):
        office.release(office.bundle(release), office.releaser)
        retained += office.repository.published().items()
    for role in ("snapshot", "timestamp"):
        office.change(rotated(office, role, (online_key(office, role),)), *office.roots[:2])
        retained += office.repository.published().items()
    wishes.append(office.wish())
    office.change(rotation.rotate_director(office.published(), online_key(office, "director"), NOW), office.releaser)
    newest, wish = office.repository.published(), office.wish()
    assert office.device.hear(newest, wish) == "verified"
    # Then no old file, under its own name or in the place of a newer one, lets an old wish pass
    for name, raw in dict.fromkeys(retained):
        role = name.removesuffix(".json").rpartition(".")[2]
        for place in {name, *(other for other in newest if other.endswith(f"{role}.json"))}:
            assert "verified" not in [office.device.hear({**newest, place: raw}, old) for old in wishes]
            assert office.device.memory.generation == office.generation
    # And with the newest metadata the device goes on where it was
    assert [office.device.hear(newest, old) for old in wishes] == ["forged", "forged"]
    assert office.device.hear(newest, wish) == "verified"


def test_a_change_that_was_cut_off_is_followed_to_its_end_at_the_next_start(tmp_path: Path) -> None:
    told: list[bool] = []

    def tell(_now: datetime, is_other_director: bool) -> None:
        told.append(is_other_director)
        if len(told) == 1:
            raise LinkDownError("ff/v1/trust/timestamp.json", "the server was killed")

    office = TrustOffice(tmp_path, tell)
    with pytest.raises(LinkDownError):
        office.change(rotation.rotate_director(office.published(), online_key(office, "director"), NOW), office.releaser)
    assert (tmp_path / "change.json").exists()

    TrustDesk(office.repository, office.keys, tmp_path / "change.json", tell).finish(NOW)

    assert told == [True, True]
    assert not (tmp_path / "change.json").exists()
    assert office.verdict() == "verified"


def test_the_server_follows_no_key_that_it_does_not_hold(office: TrustOffice) -> None:
    stranger = CryptoSigner.generate_ed25519().public_key
    with pytest.raises(UntrustedChangeError, match="one timestamp key, which this server holds"):
        office.change(rotated(office, "timestamp", (stranger,)), *office.roots[:2])
    with pytest.raises(UntrustedChangeError, match=r"director\.json: expected a key that this server holds"):
        office.change(rotation.rotate_director(office.published(), stranger, NOW), office.releaser)


def test_a_change_adds_no_release_and_is_taken_once(office: TrustOffice) -> None:
    release = sign_release(office.published(), office.bundle(1), {"key": office.releaser}, NOW).release
    assert release is not None
    with pytest.raises(UntrustedChangeError, match="the same releases as before"):
        office.trust.change(TrustChange(targets=release.targets), NOW)
    change = rotated(office, "timestamp", (online_key(office, "timestamp"),))
    office.change(change, *office.roots[:2])
    with pytest.raises(UntrustedChangeError, match="expected version 3, found version 2"):
        office.change(change, *office.roots[:2])


def test_a_team_signs_releases_of_its_own_model(office: TrustOffice) -> None:
    office.release(office.bundle(1), office.releaser)
    alice = CryptoSigner.generate_ed25519()
    office.change(delegated(office, "digits", alice), office.releaser)
    second, third = office.bundle(2), office.bundle(3)
    office.release(second, alice)
    assert office.verdict(second) == "verified"
    office.release(third, alice)
    assert office.verdict(third) == "verified"
    with pytest.raises(WrongKeyError, match="one of the team of faces"):
        office.release(office.bundle(1, "faces"), alice)


def test_a_teams_release_of_another_model_is_refused_by_the_server_and_by_the_device(office: TrustOffice) -> None:
    # Given a team that signs another model into its own list
    alice = CryptoSigner.generate_ed25519()
    office.change(delegated(office, "digits", alice), office.releaser)
    faces, digits = office.bundle(1, "faces"), office.bundle(1)
    honest = sign_release(office.published(), digits, {"alice": alice}, NOW)
    assert honest.release is not None
    listed = metadata.read(Targets, honest.release.targets.encode()).signed
    sneaked = sign_release(office.published(), faces, {"release key": office.releaser}, NOW).release
    assert sneaked is not None
    target = metadata.read(Targets, sneaked.targets.encode()).signed.targets["releases/faces/1/manifest.json"]
    wicked = metadata.sign(metadata.new_targets(1, {target.path: target}, None, NOW), alice)
    # Then the server takes it under no name
    with pytest.raises(UntrustedReleaseError, match="expected a release of digits, which is all that its team may sign"):
        office.releases.add(wicked, "digits", NOW)
    with pytest.raises(UntrustedReleaseError, match="a list that is delegated to a team"):
        office.releases.add(wicked, "faces", NOW)
    with pytest.raises(UntrustedReleaseError, match="a signature by this fleet's release key"):
        office.releases.add(wicked, None, NOW)
    # And a device follows no server that publishes it all the same
    office.repository.replace({"1.model-digits.json": wicked}, NOW)
    assert office.verdict(faces) == "not_listed"
    assert list(listed.targets) == ["releases/digits/1/manifest.json"]


def test_a_stolen_team_key_is_replaced_and_what_it_signed_is_gone(office: TrustOffice) -> None:
    stolen, fresh = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    office.change(delegated(office, "digits", stolen), office.releaser)
    first = office.bundle(1)
    office.release(first, stolen)
    other = office.bundle(1, "faces")
    office.release(other, office.releaser)
    office.change(delegated(office, "digits", fresh), office.releaser)
    assert office.verdict(first) == "forged"
    assert office.verdict(other) == "verified"
    second = office.bundle(2)
    office.release(second, fresh)
    assert office.verdict(second) == "verified"
    assert office.verdict(first) == "not_listed"


def test_a_delegation_that_ends_leaves_the_fleets_own_releases(office: TrustOffice) -> None:
    alice, first = CryptoSigner.generate_ed25519(), office.bundle(1)
    office.release(first, office.releaser)
    office.change(delegated(office, "digits", alice), office.releaser)
    second = office.bundle(2)
    office.release(second, alice)
    office.change(delegated(office, "digits"), office.releaser)
    assert office.verdict(second) == "not_listed"
    assert office.verdict(first) == "verified"
    with pytest.raises(WrongKeyError):
        office.release(office.bundle(3), alice)


def test_a_team_of_two_signs_together(office: TrustOffice) -> None:
    alice, bob = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    with pytest.raises(ThresholdError, match="model-digits: expected a threshold of 1 to 1"):
        delegated(office, "digits", alice, threshold=2)
    office.change(delegated(office, "digits", alice, bob, threshold=2), office.releaser)
    first = office.bundle(1)
    with pytest.raises(UntrustedReleaseError, match="expected a signature"):
        office.release(first, alice)
    office.release(first, alice, bob)
    assert office.verdict(first) == "verified"


def test_those_who_are_asked_to_sign_read_what_it_does(office: TrustOffice) -> None:
    alice = CryptoSigner.generate_ed25519()
    lines = list(describe(delegated(office, "digits", alice)))
    assert lines[1:] == [f"model-digits: 1 of {alice.public_key.keyid[:8]}"]
    manifest = office.bundle(1)
    lines = list(describe(sign_release(office.published(), manifest, {"key": office.releaser}, NOW)))
    assert lines[1:] == [f"adds releases/digits/1/manifest.json (sha256 {manifest.sha256})"]
    lines = list(describe(rotated(office, "timestamp", (alice.public_key,))))
    assert lines[0].startswith("root 1 becomes 2, valid until ")
    assert lines[1].startswith(f"timestamp: 1 of {alice.public_key.keyid[:8]}, before 1 of ")


def test_a_server_takes_over_one_fleet_and_only_one_that_fits_together(office: TrustOffice, tmp_path: Path) -> None:
    office.repository.take_over(tmp_path / "server", NOW)  # again, as at every start
    other = tmp_path / "other"
    write_server_folder(other, Holders([CryptoSigner.generate_ed25519()]), Holders([CryptoSigner.generate_ed25519()]), NOW)
    with pytest.raises(ForeignTrustError, match="another fleet's"):
        office.repository.take_over(other, NOW)
    (other / "director.json").write_bytes((tmp_path / "server" / "director.json").read_bytes())
    with pytest.raises(ForeignTrustError, match="metadata signed by its own root"):
        Repository(tmp_path / "new", KeyFolder(tmp_path / "new-keys")).take_over(other, NOW)
    (other / "snapshot.pem").unlink()
    with pytest.raises(ForeignTrustError, match=r"snapshot\.pem"):
        Repository(tmp_path / "new", KeyFolder(tmp_path / "new-keys")).take_over(other, NOW)


def test_a_persons_key_opens_with_its_passphrase_alone_and_is_never_written_over(tmp_path: Path) -> None:
    made = make_key(tmp_path / "alice.pem", "correct horse")
    assert (tmp_path / "alice.pem").stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in (tmp_path / "alice.pem").read_bytes()
    opened = open_key(str(tmp_path / "alice.pem"), lambda _name: "correct horse")
    assert opened.public_key == made.public_key == read_public_key(tmp_path / "alice.pub")
    with pytest.raises(KeyFileError, match="one that another passphrase opens"):
        open_key(str(tmp_path / "alice.pem"), lambda _name: "wrong")
    with pytest.raises(KeyExistsError):
        make_key(tmp_path / "alice.pem", "correct horse")
    with pytest.raises(KeyFileError, match="something else"):
        read_public_key(tmp_path / "alice.pem")


def test_a_wish_that_is_signed_twice_under_one_generation_is_followed_once(office: TrustOffice) -> None:
    # Given a server that lost its memory of a wish, and signs another of that generation
    first = office.wish()
    office.generation -= 1
    second = office.wish()
    # Then the device follows the one that it saw first
    assert office.device.hear(office.repository.published(), first) == "verified"
    assert office.device.hear(office.repository.published(), second) == "replayed"
