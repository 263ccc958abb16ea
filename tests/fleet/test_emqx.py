"""A cluster of EMQX brokers is told by its API who may do what and who is out; a stand-in answers as EMQX's documents say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from fleet.south.rules import emqx_rules
from tests.fleet.databases import postgres
from tests.fleet.server import FleetProcess, fieldfare, wait_for
from tests.sim.emqx_api import EmqxApi, serving

RULES = """\
{deny, {username, "bad"}, all, ["#"]}.
{allow, {username, "fleet"}, all, ["ff/v1/#", "$CONTROL/dynamic-security/v1"]}.
"""


@pytest.fixture
def api() -> Iterator[EmqxApi]:
    with serving(EmqxApi("fleet", "secret")) as found:
        yield found


def key_file(folder: Path, text: str = "fleet:secret", mode: int = 0o600) -> Path:
    file = folder / "key"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_device_speaks_for_itself_alone_and_the_last_rule_refuses() -> None:
    lines = emqx_rules(["bad"]).splitlines(keepends=True)

    assert "".join(lines[:2]) == RULES
    assert lines[2].startswith('{allow, {username, "viewer"}, subscribe, ["ff/v1/+/birth", ')
    assert "command" not in lines[2]
    assert lines[3].startswith('{allow, all, publish, ["ff/v1/${username}/birth", ')
    assert '"ff/v1/${username}/desired"' in lines[4]
    assert lines[5] == "{deny, all}.\n"


def test_a_server_brings_the_rules_bans_who_is_turned_out_and_waits_for_an_api_that_is_down(api: EmqxApi, tmp_path: Path) -> None:
    # Given somebody whom others banned, and an API that is down
    others = {"as": "username", "who": "stranger", "by": "dashboard"}
    api.bans.append(others)
    api.is_down = True
    database = postgres().new_database().shown.rpartition("/")[2]
    options = ("--database", postgres().url(database), "--broker", "127.0.0.1:1")
    with ExitStack() as stack:
        server = FleetProcess(tmp_path / "home", None, *options, "--broker-api", api.url, "--broker-api-key", str(key_file(tmp_path)))
        fleet = stack.enter_context(server)
        fleet.add_device("bad")
        # When it comes back, then it has the rules
        api.is_down = False
        wait_for(lambda: api.rules)
        assert api.rules == emqx_rules()
        # When a device is turned out, then it is banned
        fleet.ask("device", "revoke", "bad")
        wait_for(lambda: len(api.bans) == 2)
        assert api.rules == emqx_rules(["bad"])
        assert api.bans == [others, {"as": "username", "who": "bad", "by": "fieldfare", "reason": "revoked"}]
        # When its name is let in again, then it is not
        fleet.enroll(fleet.token("bad"), tmp_path / "again")
        wait_for(lambda: api.bans == [others])
        # And the server is ready, although no broker is there yet
        assert httpx.get(f"{fleet.connection['url']}/readyz", timeout=60).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        ("no colon", 0o600, "expected KEY:SECRET on one line"),
        ("fleet:secret", 0o644, "a file that others may read or write; run: chmod 600"),
    ],
)
def test_a_key_that_is_none_or_open_to_others_is_refused(tmp_path: Path, text: str, mode: int, complaint: str) -> None:
    options = ("--broker", "127.0.0.1:1", "--broker-api", "http://127.0.0.1:1", "--broker-api-key", str(key_file(tmp_path, text, mode)))
    done = fieldfare(tmp_path / "home", "fleet", "up", *options)

    assert done.returncode == 2
    assert complaint in done.stderr
    assert "secret" not in done.stderr.replace("KEY:SECRET", "")


def test_an_api_without_a_broker_is_refused(tmp_path: Path) -> None:
    done = fieldfare(tmp_path / "home", "fleet", "up", "--broker-api", "http://127.0.0.1:1")

    assert (done.returncode, done.stderr.count("error: --broker-api: expected --broker and --broker-api-key")) == (2, 1)
