"""Puts the fleet server together and runs it: the only place that knows every part."""

from __future__ import annotations

import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import uvicorn
from fastapi import FastAPI

from fleet.conductor import Conductor
from fleet.connection import Connection
from fleet.dashboard import app as dashboard
from fleet.enrolment import Enrolment
from fleet.errors import CannotListenError
from fleet.home import Home
from fleet.loops import repeat
from fleet.north.app import build_app
from fleet.north.ports import Addresses, Services
from fleet.release.admission import ReleaseDesk
from fleet.release.envelope import WishSigner
from fleet.release.keys import KeyFolder
from fleet.release.repository import Repository
from fleet.release.trust_desk import TrustDesk
from fleet.secret_files import Place, connect_owner, session_secret
from fleet.south import delivery, ingest
from fleet.south.broker import Address, Broker
from fleet.south.credentials import FLEET_USER, SALT_BYTES, VIEWER_USER, is_password, password_hash
from fleet.south.delivery import UNBOUNDED, Delivery, Pace
from fleet.south.deltas import Deltas
from fleet.south.director import Director
from fleet.south.ingest import Ingest
from fleet.south.mqtt import Login, MqttLink
from fleet.south.trust import TrustPublisher
from fleet.store.access import AccessStore
from fleet.store.artifacts import ArtifactStore
from fleet.store.database import Database
from fleet.store.deltas import DeltaStore
from fleet.store.devices import DeviceStore
from fleet.store.reader import StoreReader
from fleet.store.releases import ReleaseStore
from fleet.store.rollouts import RolloutStore
from fleet.store.uplinks import UplinkStore
from fleet.store.wishes import WishStore
from fleet.wall_clock import utc_now

# Devices are on this machine until the broker speaks TLS.
BROKER_HOST = "127.0.0.1"
RETENTION = timedelta(days=30)
STEP_S = 0.25
HOUSEKEEPING_S = 60.0
STOP_GRACE_S = 3


@dataclass(frozen=True)
class Settings:
    """What `fieldfare fleet up` was told."""

    folder: Path
    host: str
    port: int
    broker_port: int
    # The server folder of offline keys' making; without one a new server makes all keys itself.
    trust: Path | None = None
    pace: Pace = UNBOUNDED


class Fleet:
    """All parts of one server, connected."""

    def __init__(self, home: Home, settings: Settings) -> None:
        """Open what lies on disk; nothing runs yet."""
        self.addresses = Addresses(_url(settings), BROKER_HOST, settings.broker_port)
        self.database = Database(home.database)
        keys = KeyFolder(home.keys)
        self.repository = Repository(home.trust, keys)
        if settings.trust is None:
            self.repository.create(utc_now())
        else:
            self.repository.take_over(settings.trust, utc_now())
        self.devices = DeviceStore(self.database)
        self.access = AccessStore(self.database)
        self.uplinks = UplinkStore(self.database, RETENTION)
        place = Place(self.addresses.url, BROKER_HOST, settings.broker_port, VIEWER_USER)
        self.connection = connect_owner(home, self.access, place, utc_now())
        self._own_password = secrets.token_urlsafe(32)
        self.broker = Broker(home.broker, Address(BROKER_HOST, settings.broker_port))
        login = Login(BROKER_HOST, settings.broker_port, FLEET_USER, self._own_password)
        self.control_link = MqttLink(login, "fleet-control", ingest.TOPICS)
        self.bulk_link = MqttLink(login, "fleet-bulk", delivery.TOPICS)
        self.artifacts = ArtifactStore(home.artifacts.as_uri())
        self.trust = TrustPublisher(self.repository, self.control_link)
        self._wish_signer = WishSigner(lambda: keys.signer("director"))
        self.director = Director(WishStore(self.database), self._wish_signer, self.control_link)
        self.trust_desk = TrustDesk(self.repository, keys, home.trust_change, self._follow_trust)
        self.trust_desk.finish(utc_now())
        self.conductor = Conductor(ReleaseStore(self.database), self.devices, RolloutStore(self.database), self.director)
        self.ingest = Ingest(self.control_link, self.uplinks, utc_now)
        self.deltas = Deltas(DeltaStore((home.artifacts / "deltas").as_uri(), self.artifacts), home.folder)
        self.delivery = Delivery(self.bulk_link, self.artifacts, self.deltas, settings.pace)
        self.reader = StoreReader(self.database, utc_now)
        self._connections_seen = 0

    def services(self) -> Services:
        """Return what the API works with."""
        return Services(
            reader=self.reader,
            access=self.access,
            enrolment=Enrolment(self.devices, self.director, _hash, lambda: self.broker.admit(self.logins())),
            releases=ReleaseDesk(self.repository, self.artifacts, ReleaseStore(self.database), self.trust.changed),
            rollouts=self.conductor,
            trust=self.repository,
            trust_desk=self.trust_desk,
            artifacts=self.artifacts,
            device_door=self,
            addresses=self.addresses,
            now=utc_now,
        )

    def _follow_trust(self, now: datetime, is_other_director: bool) -> None:
        """Speak with the keys that devices are told to trust from now on."""
        if is_other_director:
            self._wish_signer.reload()
            self.director.sign_all_again(now)
        self.trust.changed()

    def is_device(self, device: str, password: str) -> bool:
        """Say whether this is the device's own password."""
        hashed = self.devices.password_hashes().get(device)
        return hashed is not None and is_password(password, hashed)

    def logins(self) -> dict[str, str]:
        """Return the password hashes of all who may use the broker."""
        viewer = self.connection.broker
        assert viewer is not None
        return {**self.devices.password_hashes(), FLEET_USER: _hash(self._own_password), VIEWER_USER: _hash(viewer.password)}

    def speak(self) -> None:
        """Bring rollouts forward, and the broker what it lacks."""
        self.conductor.turn(utc_now())
        if not self.control_link.is_up:
            return
        if self.control_link.connections != self._connections_seen:
            self._connections_seen = self.control_link.connections
            self.trust.changed()
            self.director.publish_all_again()
        self.trust.turn()
        self.director.publish()

    def keep_house(self) -> None:
        """Renew signatures before they end, and forget what is old."""
        now = utc_now()
        if self.repository.refresh(now):
            self.trust.changed()
        self.director.renew(now)
        self.uplinks.prune(now)


async def run(settings: Settings, announce: Callable[[Connection], None]) -> None:
    """Serve until SIGINT or SIGTERM; call `announce` once people and devices can connect. Raises FleetError."""
    home = Home(settings.folder)
    with home.locked(), _bound(settings.host, settings.port, "--port") as listener:
        with _bound(BROKER_HOST, settings.broker_port, "--broker-port"):
            pass  # mosquitto binds it next; asking first gives a better error
        fleet = Fleet(home, settings)
        try:
            await fleet.broker.start(fleet.logins())
            fleet.control_link.open()
            fleet.bulk_link.open()
            app = build_app(fleet.services())
            dashboard.mount(app, fleet.reader, lambda code: fleet.access.redeem_code(code, utc_now()), session_secret(home))
            await _serve(fleet, app, listener, announce)
        finally:
            fleet.control_link.close()
            fleet.bulk_link.close()
            with anyio.CancelScope(shield=True):
                await fleet.broker.stop()
            fleet.database.close()


async def _serve(fleet: Fleet, app: FastAPI, listener: socket.socket, announce: Callable[[Connection], None]) -> None:
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=STOP_GRACE_S, proxy_headers=False, server_header=False)
    server = _Server(config, partial(announce, fleet.connection))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fleet.broker.keep_alive, name="broker")
        tasks.start_soon(repeat, fleet.ingest.turn, 0.0, name="ingest")
        tasks.start_soon(repeat, fleet.delivery.turn, 0.0, name="delivery")
        tasks.start_soon(repeat, fleet.deltas.turn, 0.0, name="deltas")
        tasks.start_soon(repeat, fleet.speak, STEP_S, name="speak")
        tasks.start_soon(repeat, fleet.keep_house, HOUSEKEEPING_S, name="house")
        tasks.start_soon(_stop_on_signal, server, name="signals")
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


async def _stop_on_signal(server: uvicorn.Server) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            server.should_exit = True


class _Server(uvicorn.Server):
    """Uvicorn that leaves signals to us, so that the broker is stopped after it, and says when it is ready."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def _bound(host: str, port: int, option: str) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise CannotListenError(host, port, error.strerror or str(error), option) from error
    with listener:
        yield listener


def _hash(password: str) -> str:
    return password_hash(password, secrets.token_bytes(SALT_BYTES))


def _url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0") else settings.host  # noqa: S104 - it is compared, not bound
    return f"http://{host}:{settings.port}"
