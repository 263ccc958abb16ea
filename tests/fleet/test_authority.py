"""The authority's folder: what a crash may leave in it, and what stays the same when one root follows another."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent.credential import new_key, request_for
from fleet.authority import Authority
from fleet.certificates import Root, new_root, read_request
from fleet.errors.server import NoSuccessionError, SuccessionError
from fleet.own_lines import line_name

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
FILES = ("ca.key", "ca.pem", "next.key", "next.pem", "voucher.pem", "retiring")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", NOW)


def opened_again(authority: Authority) -> Authority:
    return Authority(authority.certificate_file.parent, NOW)


def test_openssl_looks_for_a_root_under_the_name_that_we_give_it(tmp_path: Path) -> None:
    key, certificate = new_root(NOW)
    file = tmp_path / "ca.pem"
    file.write_bytes(certificate)
    asked = subprocess.run(("openssl", "x509", "-noout", "-hash", "-in", str(file)), capture_output=True, text=True, check=True, timeout=30)

    assert Root(key, certificate, "ca").hash_name == asked.stdout.strip()


def test_a_device_gets_certificates_of_the_root_that_it_says_it_believes(authority: Authority) -> None:
    request = read_request(request_for(new_key(), "pi-1"))
    following = authority.succeed(NOW).root
    certificates = {
        believed: authority.issue_client("pi-1", request, NOW, timedelta(days=1), believed).pem.encode()
        for believed in (None, "0" * 64, authority.fingerprint, following.fingerprint)
    }

    assert [following.has_signed(pem) for pem in certificates.values()] == [False, False, False, True]


def test_one_root_follows_another_and_no_third_before_that(authority: Authority) -> None:
    with pytest.raises(NoSuccessionError):
        authority.retire()
    new = authority.succeed(NOW).root.fingerprint
    with pytest.raises(SuccessionError):
        authority.succeed(NOW)
    # Another server of the same folder sees it too
    other = opened_again(authority)
    assert other.successor is not None
    assert other.successor.root.fingerprint == new
    other.retire()
    assert authority.is_retiring
    assert opened_again(authority).fingerprint == new


@pytest.mark.parametrize("done", range(7))
def test_a_crash_in_the_middle_of_the_last_step_is_made_good_at_the_next_start(authority: Authority, tmp_path: Path, done: int) -> None:
    # Given a folder as a crash leaves it after so many of the step's changes
    folder = authority.certificate_file.parent
    new = authority.succeed(NOW).root.fingerprint
    authority.retire()
    changes: list[Callable[[], object]] = [
        lambda: shutil.copy(folder / "next.key", folder / "ca.key"),
        lambda: shutil.copy(folder / "next.pem", folder / "ca.pem"),
        (folder / "next.pem").unlink,
        (folder / "next.key").unlink,
        (folder / "voucher.pem").unlink,
        (folder / "retiring").unlink,
    ]
    for change in changes[:done]:
        change()
    # When it is opened
    whole = Authority(folder, NOW)
    # Then the next root is the one root, and nothing is left of the step
    assert (whole.fingerprint, whole.successor) == (new, None)
    assert {file.name for file in folder.iterdir()} & set(FILES) == {"ca.key", "ca.pem"}


def test_the_fleets_own_lines_keep_key_and_name_under_another_root(authority: Authority) -> None:
    before = authority.own_client("fleet", NOW)
    key, name = before.read_text().partition("-----BEGIN CERTIFICATE")[0], line_name(before)
    authority.succeed(NOW)
    assert authority.own_client("fleet", NOW).read_text().startswith(key)
    authority.retire()

    after = opened_again(authority).own_client("fleet", NOW)

    assert after.read_text().partition("-----BEGIN CERTIFICATE")[0] == key
    assert line_name(after) == name
    root = opened_again(authority)
    assert Root((after.parent / "ca.key").read_bytes(), root.pem.encode(), "ca").has_signed(after.read_bytes())
    assert after.with_suffix(".line").stat().st_mode & 0o777 == 0o600
