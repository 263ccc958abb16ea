"""Which brokers an agent believes, at which time: the agent's own adapter against real mosquittos with all kinds of certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeAlias

import pytest

from agent.adapters.address import BrokerAddress
from agent.adapters.bulk import BulkBroker
from agent.adapters.identity import IdentityFiles
from agent.adapters.mqtt import MqttBroker
from agent.config import Settings, load_settings
from agent.errors import LinkLostError
from fleet.authority import Authority
from fleet.certificates import SERVER_LIFE, SKEW
from tests.agent.conftest import DEVICE
from tests.live.authority import authority as fleet_authority
from tests.live.authority import identity_of, server_identity
from tests.live.mosquitto import Mosquitto
from tests.sim.fleet import SimFleet
from tests.sim.provisioned import write_device

NOW = datetime.now(timezone.utc)
Line: TypeAlias = Callable[[BrokerAddress], Awaitable[None]]


@contextmanager
def broker_with(folder: Path, identity: Path | None = None) -> Iterator[Mosquitto]:
    """A broker that shows a certificate."""
    mosquitto = Mosquitto(folder / "broker", identity)
    mosquitto.start()
    yield mosquitto
    mosquitto.stop()


def settings_for(folder: Path, broker: Mosquitto) -> Settings:
    """Return the settings of a device that enrolled with this run's authority."""
    return load_settings(write_device(folder / "device", DEVICE, SimFleet(broker.port), serve_port=1))


async def speak(address: BrokerAddress) -> None:
    """Connect by the line for everything, and say one thing."""
    async with MqttBroker(address).connect(f"ff/v1/{DEVICE}/birth", b"will") as connection:
        await connection.publish(f"ff/v1/{DEVICE}/event", b"hello", qos=1, retain=False)


async def ask(address: BrokerAddress) -> None:
    """Connect by the line for files, and ask for one topic."""
    async with BulkBroker(address).connect_bulk() as connection:
        await connection.subscribe(f"ff/v1/{DEVICE}/offer")


@pytest.fixture(params=[speak, ask], ids=["everything", "files"])
def line(request: pytest.FixtureRequest) -> Line:
    found: Line = request.param
    return found


def connect(line: Line, settings: Settings, now: datetime = NOW) -> None:
    """Connect as an agent does, at a time; raise LinkLostError."""
    settings.state_dir.mkdir(exist_ok=True)
    address = BrokerAddress("127.0.0.1", settings.config.broker.port, 5, IdentityFiles(settings, lambda: now))
    asyncio.run(asyncio.wait_for(line(address), 120))


def impostor(folder: Path, identity: str) -> Path:
    file = folder / "impostor.pem"
    file.write_text(identity)
    return file


def test_the_broker_of_the_own_fleet_is_believed(line: Line, tmp_path: Path) -> None:
    with broker_with(tmp_path) as broker:
        connect(line, settings_for(tmp_path, broker))


def test_a_broker_of_another_name_is_refused(line: Line, tmp_path: Path) -> None:
    with (
        broker_with(tmp_path, server_identity("elsewhere.example")) as broker,
        pytest.raises(LinkLostError, match=r"certificate verify failed: IP address mismatch"),
    ):
        connect(line, settings_for(tmp_path, broker))


def test_a_broker_of_another_authority_is_refused(line: Line, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "another", NOW)
    identity = stranger.server_identity(("127.0.0.1",), NOW)
    with broker_with(tmp_path, identity) as broker, pytest.raises(LinkLostError, match="certificate verify failed"):
        connect(line, settings_for(tmp_path, broker))


def test_a_device_of_the_fleet_cannot_pose_as_its_broker(line: Line, tmp_path: Path) -> None:
    identity = impostor(tmp_path, identity_of("127.0.0.1"))
    with broker_with(tmp_path, identity) as broker, pytest.raises(LinkLostError, match="certificate verify failed"):
        connect(line, settings_for(tmp_path, broker))


def test_a_certificate_is_judged_by_our_own_idea_of_the_time(line: Line, tmp_path: Path) -> None:
    # Given a device whose clock says 1970, or the last day of the certificate: it has not ended
    with broker_with(tmp_path) as broker:
        settings = settings_for(tmp_path, broker)
        connect(line, settings, datetime(1970, 1, 1, tzinfo=timezone.utc))
        connect(line, settings, NOW + SERVER_LIFE - timedelta(days=1))
        # When it has, then the broker is refused, although the machine's clock does not know yet
        with pytest.raises(LinkLostError, match="expected one that has not ended"):
            connect(line, settings, NOW + SERVER_LIFE + SKEW)


def test_a_device_is_known_by_its_renewed_identity_until_it_enrols_anew(tmp_path: Path) -> None:
    # Given a device that renewed its certificate
    with broker_with(tmp_path) as broker:
        settings = settings_for(tmp_path, broker)
    settings.state_dir.mkdir()
    known_by = IdentityFiles(settings, lambda: NOW)
    before = known_by.client_id(), known_by.client_id("bulk")
    known_by.adopt(identity_of(DEVICE), fleet_authority().fingerprint)
    # Then the new one counts, also after a restart, and is its own alone
    assert known_by.identity() != settings.identity_file.read_text()
    assert IdentityFiles(settings, lambda: NOW).current == known_by.current
    assert known_by.current.stat().st_mode & 0o777 == 0o600
    assert len({*before, known_by.client_id(), known_by.client_id("bulk")}) == 4
    # When it is enrolled again, then what was renewed before counts no more
    settings.identity_file.write_text(identity_of(DEVICE))
    assert IdentityFiles(settings, lambda: NOW).current == settings.identity_file


def test_unusable_files_of_our_own_are_a_lost_link_with_a_reason(line: Line, tmp_path: Path) -> None:
    with broker_with(tmp_path) as broker:
        settings = settings_for(tmp_path, broker)
        settings.identity_file.write_text("nonsense")
        with pytest.raises(LinkLostError, match="unusable certificates"):
            connect(line, settings)
