"""Signing in by the word of a real provider process, and each way in which its word can be wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from contracts.errors import InvalidDocumentError
from fleet.errors.openid import OpenIdSettingsError
from fleet.openid.provider import KEYS_PAUSE_S
from fleet.openid.settings import read_settings
from tests.fleet.server import FleetProcess, wait_for
from tests.live.openid_provider import CLIENT, SECRET, openid_provider

USER = {"preferred_username": "anna", "email": "anna@birds.example", "email_verified": True, "groups": ["staff", "fleet-operators"]}


@dataclass(frozen=True)
class Realm:
    """A provider, and a fleet server that believes it."""

    issuer: str
    folder: Path
    fleet: FleetProcess

    def say(self, name: str, content: dict[str, Any]) -> None:
        """Tell the provider who comes (user.json), or what to do wrong (faults.json)."""
        (self.folder / name).write_text(json.dumps(content))

    def browser(self) -> httpx.Client:
        """A browser that keeps cookies and goes where it is sent."""
        return httpx.Client(base_url=self.fleet.connection["url"], follow_redirects=True, timeout=60)

    def last_row(self) -> dict[str, Any]:
        """Return the newest row of the audit log."""
        with self.fleet.api as api:
            found: dict[str, Any] = api.get("audit", params={"limit": 1}).json()["items"][0]
        return found


def write_settings(folder: Path, issuer: str, **more: str) -> Path:
    """Write a configuration and its secret."""
    secret = folder / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    lines = {"issuer": f'"{issuer}"', "client_id": f'"{CLIENT}"', "secret_file": '"secret"', "domains": '["birds.example"]', **more}
    file = folder / "openid.toml"
    roles = '\n[roles]\nfleet-admins = "admin"\nfleet-operators = "operator"\n'
    file.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()) + roles)
    return file


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    folder = tmp_path_factory.mktemp("openid")
    with openid_provider(folder) as issuer:
        options = ("--openid", str(write_settings(folder, issuer)))
        with FleetProcess(folder / "home", None, *options) as fleet:
            yield Realm(issuer, folder, fleet)


@pytest.fixture(autouse=True)
def an_honest_provider(realm: Realm) -> None:
    realm.say("user.json", USER)
    realm.say("faults.json", {})
    realm.say("person.json", {"sub": "7"})


def test_somebody_in_a_known_group_comes_in_with_its_role_and_goes_out_again(realm: Realm) -> None:
    with realm.browser() as browser:
        assert "Sign in with your organisation" in browser.get("/login").text
        # When a browser goes to the provider and comes back
        arrived = browser.get("/login/openid")
        # Then it is in, as the log tells, and the address holds nothing of it
        assert (arrived.status_code, arrived.url.path, arrived.url.query) == (200, "/", b"")
        row = realm.last_row()
        assert (row["who"], row["role"], row["what"], row["outcome"], row["detail"]) == (
            "openid anna", "operator", "login.openid", "done", '{"sub":"7"}'
        )  # fmt: skip
        # When it signs out, then it is out, and is told where to sign out of the provider
        out = browser.post("/logout")
        assert f"{realm.issuer}/logout?client_id={CLIENT}&amp;post_logout_redirect_uri=" in out.text
        assert browser.get("/").url.path == "/login"
        assert realm.last_row()["what"] == "logout"


def test_of_several_groups_the_highest_counts(realm: Realm) -> None:
    realm.say("user.json", USER | {"groups": ["fleet-operators", "fleet-admins"]})
    with realm.browser() as browser:
        browser.get("/login/openid")
        assert browser.get("/audit").status_code == 200
    assert realm.last_row()["role"] == "admin"


def comes_in(realm: Realm) -> bool:
    """Say whether somebody gets in."""
    with realm.browser() as browser:
        return browser.get("/login/openid").url.path == "/"


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another application's token": ({"claims": {"aud": "another"}}, "wrong_audience"),
    "a token for several": ({"claims": {"aud": [CLIENT, "another"]}}, "wrong_audience"),
    "another authorized party": ({"claims": {"azp": "another"}}, "wrong_audience"),
    "expired": ({"claims": {"exp": -90}}, "expired"),
    "without an end": ({"claims": {"exp": None}}, "expired"),
    "kept for long": ({"claims": {"iat": -1000}}, "expired"),
    "of the future": ({"claims": {"iat": 90}}, "expired"),
    "another login's nonce": ({"claims": {"nonce": "another"}}, "wrong_nonce"),
    "without a nonce": ({"claims": {"nonce": None}}, "wrong_nonce"),
    "another issuer's": ({"claims": {"iss": "https://another.example"}}, "wrong_issuer"),
    "unsigned": ({"alg": "none"}, "unsigned"),
    "signed by a public key": ({"alg": "HS256"}, "unsigned"),
    "signed by another key of the same name": ({"forged": True}, "bad_signature"),
    "signed by a key that the provider does not show": ({"key": "hidden"}, "bad_signature"),
    "of nobody": ({"claims": {"sub": None}}, "unusable_claims"),
    "without a name": ({"claims": {"preferred_username": None}}, "unusable_claims"),
    "a name that is a query": ({"claims": {"preferred_username": "anna' or 1=1"}}, "unusable_claims"),
    "brought back by another provider": ({"return": {"iss": "https://another.example"}}, "wrong_issuer"),
    "refused by the provider": ({"return": {"code": None, "error": "access_denied"}}, "provider_refused"),
    "with a code that was made up": ({"return": {"code": "made-up"}}, "provider_refused"),
    "with a state that was made up": ({"return": {"state": "made-up"}}, "stray_return"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_word_that_is_wrong_opens_nothing_and_is_told_by_its_class(realm: Realm, fault: str) -> None:
    faults, kind = FAULTS[fault]
    realm.say("faults.json", faults)
    with realm.browser() as browser:
        refused = browser.get("/login/openid")
        assert refused.status_code == 401
        assert kind.replace("_", " ") in refused.text
        assert browser.get("/").url.path == "/login"
    row = realm.last_row()
    assert (row["what"], row["outcome"], json.loads(row["detail"])["why"]) == ("login.openid", "refused", kind)


@pytest.mark.parametrize(
    "user",
    [
        {"groups": ["staff"]},
        {"groups": None},
        {"groups": "fleet-operators-of-another"},
        {"email": "anna@elsewhere.example"},
        {"email_verified": False},
        {"email": "anna@birds.example.evil.example"},
    ],
)
def test_somebody_without_a_role_here_is_told_so_plainly(realm: Realm, user: dict[str, Any]) -> None:
    realm.say("user.json", USER | user)
    with realm.browser() as browser:
        refused = browser.get("/login/openid")
        assert refused.status_code == 403
        assert "You are known as anna, and may do nothing here." in refused.text
        assert browser.get("/").url.path == "/login"
    assert (realm.last_row()["who"], realm.last_row()["outcome"]) == ("openid anna", "refused")


@pytest.mark.parametrize("claims", [{"exp": -30}, {"iat": 30}, {"aud": [CLIENT]}])
def test_clocks_may_differ_a_little(realm: Realm, claims: dict[str, Any]) -> None:
    realm.say("faults.json", {"claims": claims})
    with realm.browser() as browser:
        assert browser.get("/login/openid").url.path == "/"


def test_what_the_token_leaves_out_is_asked_for_and_must_be_of_the_same_person(realm: Realm) -> None:
    # Given a provider whose tokens are small
    realm.say("user.json", {})
    realm.say("person.json", {"sub": "7", **USER})
    assert comes_in(realm)
    assert realm.last_row()["who"] == "openid anna"
    # When it tells of another, then nobody comes in; and what the token says itself counts more
    realm.say("person.json", {"sub": "8", **USER})
    assert not comes_in(realm)
    assert json.loads(realm.last_row()["detail"])["why"] == "unusable_claims"
    realm.say("user.json", USER | {"groups": ["staff"]})
    realm.say("person.json", {"sub": "7", **USER})
    assert not comes_in(realm)


def test_a_return_works_once_and_in_the_browser_that_left_alone(realm: Realm) -> None:
    # Given a browser that was sent to the provider, and the address by which it is to come back
    with realm.browser() as browser, realm.browser() as thief:
        there = browser.get("/login/openid", follow_redirects=False).headers["location"]
        asked = {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
        assert {"state", "nonce", "code_challenge"} <= set(asked)
        back = httpx.get(there, timeout=60).headers["location"]
        # When another browser goes there, or the same one twice
        assert thief.get(back).status_code == 401
        assert browser.get(back).url.path == "/"
        again = browser.get(back)
        # Then only the first time in its own browser counts
        assert again.status_code == 401


def test_keys_that_the_provider_replaced_are_found_by_themselves_and_not_asked_for_without_end(realm: Realm) -> None:
    # Given a server that knows the provider's key
    with realm.browser() as browser:
        assert browser.get("/login/openid").url.path == "/"
    # When another key takes its place, then it is soon the one that counts
    realm.say("faults.json", {"key": "ec-second", "alg": "ES256", "shown": ["ec-second"]})
    wait_for(partial(comes_in, realm))
    # And when a key signs that is not shown, again and again, then its owner is not asked each time
    realm.say("faults.json", {"key": "hidden", "shown": ["ec-second"]})
    before, began_s = keys_asked(realm), time.monotonic()
    with realm.browser() as browser:
        for _ in range(5):
            assert browser.get("/login/openid").status_code == 401
    assert keys_asked(realm) <= before + 2 + (time.monotonic() - began_s) // KEYS_PAUSE_S


def keys_asked(realm: Realm) -> int:
    """Return how often the provider was asked for its keys."""
    found: int = httpx.get(f"{realm.issuer}/asked", timeout=60).json()["keys"]
    return found


def test_a_provider_that_does_not_answer_leaves_the_other_ways_in_open(tmp_path: Path) -> None:
    options = ("--openid", str(write_settings(tmp_path, "http://127.0.0.1:9")))
    with FleetProcess(tmp_path / "home", None, *options) as fleet, httpx.Client(base_url=fleet.connection["url"], timeout=60) as browser:
        assert browser.get("/login/openid").status_code == 502
        assert browser.get(fleet.run("dashboard").stdout.strip()).headers["location"] == "/"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"issuer": '"http://login.example.com"'}, "https://"),
        ({"issuer": '"https://login.example.com?realm=1"'}, "https://"),
        ({"roles": '{ fleet-admins = "owner" }'}, "admin"),
        ({"secret": '"in the open"'}, "secret"),
    ],
)
def test_a_configuration_that_would_not_be_safe_is_refused(tmp_path: Path, changed: dict[str, str], error: str) -> None:
    file = write_settings(tmp_path, "https://login.example.com")
    lines = {"issuer": '"https://login.example.com"', "client_id": '"fieldfare"', "secret_file": '"secret"', "roles": '{ a = "admin" }'}
    file.write_text("".join(f"{name} = {value}\n" for name, value in {**lines, **changed}.items()))
    with pytest.raises(InvalidDocumentError, match=error):
        read_settings(file)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings = read_settings(write_settings(tmp_path, "https://login.example.com"))
    assert settings.secret() == SECRET
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(OpenIdSettingsError, match="mode 0600, found 644"):
        settings.secret()
