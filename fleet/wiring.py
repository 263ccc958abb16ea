"""Puts the fleet server together and runs it: the only place that knows every part."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial

import anyio

from fleet.authority import Authority
from fleet.certificates import SERVER_LIFE
from fleet.conductor import Conductor
from fleet.connection import BrokerLogin, Connection
from fleet.dashboard import app as dashboard
from fleet.dashboard.session import Sessions
from fleet.door_roots import DoorRoots
from fleet.doors import Doors, Papers, bound
from fleet.ear import Ear
from fleet.enrolment import Consequences, Enrolment
from fleet.folder_lock import FolderLock
from fleet.front_desk import FrontDesk, Registers
from fleet.group_desk import GroupDesk
from fleet.heap import keep_heap_small, let_garbage_wait
from fleet.home import Home
from fleet.housekeeping import RetentionRuns
from fleet.leading import Duty, Link, lead
from fleet.loops import repeat
from fleet.north.app import build_app
from fleet.north.ports import Rehearsal, Services
from fleet.openid.desk import OpenIdDesk
from fleet.openid.settings import OpenIdSettings
from fleet.passwords import Passwords
from fleet.people_desk import PeopleDesk
from fleet.preview import Preview
from fleet.recruiter import Recruiter
from fleet.release.admission import ReleaseDesk
from fleet.release.envelope import WishSigner
from fleet.release.keys import KeyFolder
from fleet.release.packages import PackageShelf
from fleet.release.repository import Repository
from fleet.release.trust_desk import TrustDesk
from fleet.rollout_desk import RolloutDesk
from fleet.secret_files import connect_owner, session_secret
from fleet.settings import LOOPBACK, Settings
from fleet.settings_desk import SettingsDesk
from fleet.south import commands, delivery, ingest, renewals
from fleet.south.broker import Broker
from fleet.south.bulk import BulkLink
from fleet.south.commands import Commander
from fleet.south.delivery import Delivery
from fleet.south.deltas import Deltas
from fleet.south.director import Director
from fleet.south.emqx import Emqx
from fleet.south.farewells import Farewells
from fleet.south.gate import Gate
from fleet.south.heir import Heir, Share
from fleet.south.ingest import Ingest
from fleet.south.mosquitto_conf import Address
from fleet.south.mqtt import Login, MqttLink
from fleet.south.outside_broker import OutsideBroker
from fleet.south.presence import Presence
from fleet.south.renewals import Renewals
from fleet.south.rules import FLEET_USER, VIEWER_USER
from fleet.south.succession import SuccessionHerald
from fleet.south.trust import TrustPublisher
from fleet.south.uplink_line import UplinkLine
from fleet.store.access import AccessStore
from fleet.store.artifacts import ArtifactStore
from fleet.store.audit import AuditStore
from fleet.store.commands import CommandStore
from fleet.store.configurations import ConfigurationStore
from fleet.store.credentials import CredentialStore
from fleet.store.database import Database
from fleet.store.deltas import DeltaStore
from fleet.store.departures import DepartureStore
from fleet.store.device_pages import DevicePages
from fleet.store.devices import DeviceStore
from fleet.store.groups import GroupStore
from fleet.store.heat import HeatStore
from fleet.store.leader import SharedLeader, SoleLeader
from fleet.store.lists import StoreLists
from fleet.store.login_failures import LoginFailureStore
from fleet.store.openid_trips import OpenIdTripStore
from fleet.store.people import PeopleStore
from fleet.store.reader import StoreReader
from fleet.store.releases import ReleaseStore
from fleet.store.repeats import RepeatStore
from fleet.store.replicas import ReplicaStore
from fleet.store.restarts import RestartStore
from fleet.store.retention import Retention
from fleet.store.rollouts import RolloutStore
from fleet.store.roster import Roster
from fleet.store.sessions import SessionStore
from fleet.store.settings_pages import SettingsPages
from fleet.store.shadows import ShadowStore
from fleet.store.uplinks import UplinkStore
from fleet.store.wishes import WishStore
from fleet.store.words import WordStore
from fleet.store.work import WorkStore
from fleet.succession import SuccessionDesk
from fleet.targeting import Targeting
from fleet.testimony import Records
from fleet.wall_clock import utc_now
from fleet.witness import Witness

RETENTION = timedelta(days=30)
STEP_S = 0.25
HOUSEKEEPING_S = 60.0
# Each may hold a picture.
MAX_RESULTS_WAITING = 64
FOLLOW_S = 2.0
RETENTION_S = 10.0


class Fleet:
    """All parts of one server, connected."""

    def __init__(self, home: Home, settings: Settings) -> None:
        """Open what lies on disk; nothing runs yet."""
        self.database = Database(settings.database or home.database)
        keys = KeyFolder(home.keys)
        self.repository = Repository(home.trust, keys)
        if settings.trust is None:
            self.repository.create(utc_now())
        else:
            self.repository.take_over(settings.trust, utc_now())
        self.devices = DeviceStore(self.database)
        self._let_people_in()
        self.uplinks = UplinkStore(self.database, RETENTION)
        self._reach_broker(home, settings)
        self.openid = self._openid(settings.openid) if settings.openid else None
        self.artifacts = ArtifactStore(settings.artifacts or home.artifacts.as_uri())
        self.trust = TrustPublisher(self.repository, self.control_link)
        self._wish_signer = WishSigner(lambda: keys.signer("director"))
        self.director = Director(WishStore(self.database), self._wish_signer, self.control_link)
        self.commands = CommandStore(self.database, RETENTION)
        self.commander = Commander(self.command_link, self.commands, self._wish_signer, utc_now)
        self.trust_desk = TrustDesk(self.repository, keys, home.trust_change, self._follow_trust)
        self.trust_desk.finish(utc_now())
        self._plan_rollouts()
        departures = DepartureStore(self.database)
        self.farewells = Farewells(departures, self.control_link)
        consequences = Consequences(self.director.welcome, self.gate.set, self.gate.shut_out, self.rollout_desk.let_go)
        self.enrolment = Enrolment(self.credentials, departures, self.authority, consequences, settings.certificate_life)
        self.succession_desk = SuccessionDesk(self.authority, self.devices, self.credentials, self.enrolment.revoke)
        self.renewals = Renewals(self.renewal_link, self.enrolment, utc_now)
        self.ingest = Ingest(self.uplink_line, self.uplinks, utc_now)
        replicas = ReplicaStore(self.database)
        self.presence = Presence(settings.replica, replicas, self.uplink_line, self.ingest)
        self.heir = Heir(settings.replica, replicas, self._share_of, self._hears)
        self.deltas = Deltas(DeltaStore((home.artifacts / "deltas").as_uri(), self.artifacts), home.folder)
        self.delivery = Delivery(self.bulk_link, self.artifacts, self.deltas, settings.pace)
        self.reader = StoreReader(self.database, utc_now, self.roster)
        self.leader = SharedLeader(self.database) if settings.broker else SoleLeader()
        self.retention = RetentionRuns(Retention(self.database), self.audit)
        self._is_shared = settings.broker is not None
        # Named servers share what devices say; else the one that leads hears all of it.
        self.hears_always = bool(settings.replica)
        self._connections_seen = self._subscriptions_seen = 0

    def _let_people_in(self) -> None:
        """Name who may use API and dashboard, and where what they do is told."""
        self.audit = AuditStore(self.database)
        self.access = AccessStore(self.database)
        passwords, people = Passwords(), PeopleStore(self.database)
        self.people = PeopleDesk(people, passwords)
        registers = Registers(people, LoginFailureStore(self.database), SessionStore(self.database), self.access, self.audit)
        self.front_desk = FrontDesk(registers, passwords, utc_now)

    def _openid(self, settings: OpenIdSettings) -> OpenIdDesk:
        """Name the provider whose word counts."""
        bases = {"http": self.addresses.url, "https": self.addresses.public_url}
        return OpenIdDesk(settings, OpenIdTripStore(self.database), self.front_desk, bases, utc_now)

    def _plan_rollouts(self) -> None:
        """Put together who finds devices, brings them releases and settings, and follows how they do."""
        self.roster = Roster(self.database)
        group_store = GroupStore(self.database)
        self.targeting = Targeting(self.roster, group_store, PackageShelf(self.artifacts))
        self.groups = GroupDesk(group_store, self.devices, self.targeting, self.roster)
        rollouts, words = RolloutStore(self.database), WordStore(self.database)
        recruiter = Recruiter(ReleaseStore(self.database), self.targeting, WishStore(self.database))
        records = Records(WorkStore(self.database), HeatStore(self.database), RestartStore(self.database), ShadowStore(self.database))
        witness = Witness(records, self.devices, words)
        self.conductor = Conductor(rollouts, Ear(self.roster), self.director, witness, recruiter)
        self.rollout_desk = RolloutDesk(rollouts, recruiter)
        self.settings_desk = SettingsDesk(self.targeting, self.devices, ConfigurationStore(self.database), self.director)

    def _reach_broker(self, home: Home, settings: Settings) -> None:
        """Name whom the broker believes, where it listens, and our own lines to it."""
        self.authority = Authority(home.authority, utc_now())
        self.addresses = settings.addresses(self.authority.pem)
        self._server_names = settings.server_names
        self.server_identity = self.authority.server_identity(self._server_names, utc_now())
        self._server_identity_since = utc_now()
        simulation = home.simulation if settings.simulation else None
        address = Address(settings.host, settings.broker_port, self.authority.certificate_file, self.server_identity, simulation)
        self.broker = _broker(home, settings, address)
        reached, port = settings.reached_broker
        viewer = self.authority.own_client(VIEWER_USER, utc_now())
        watching = BrokerLogin(host=reached, port=port, authority=address.authority, identity=viewer)
        self.connection = connect_owner(home, self.access, self.addresses.url, watching, utc_now())
        login = Login(reached, port, address.authority, self.authority.own_client(FLEET_USER, utc_now()))
        self.control_link = MqttLink(login, "fleet-control", ())
        self.uplink_line = UplinkLine(login, ingest.TOPICS, settings.replica)
        self._heir_line = partial(UplinkLine, login, ingest.TOPICS, is_heir=True)
        self.bulk_link = BulkLink(login, "fleet-bulk", delivery.TOPICS)
        self.renewal_link = MqttLink(login, "fleet-renewal", renewals.TOPICS)
        self.command_link = MqttLink(login, "fleet-command", commands.TOPICS, MAX_RESULTS_WAITING)
        self.credentials = CredentialStore(self.database)
        self.gate = Gate(self.credentials, self.authority, self.broker, self.control_link)

    def _share_of(self, replica: str) -> Share:
        """Return what waits for another server."""
        line = self._heir_line(replica)
        return Share(line, Ingest(line, self.uplinks, utc_now))

    def _hears(self) -> bool:
        """Say whether devices' messages come here."""
        return self.uplink_line.is_up and self.uplink_line.subscriptions > 0

    def services(self) -> Services:
        """Return what the API works with."""
        return Services(
            reader=self.reader,
            lists=StoreLists(self.database, self.reader, utc_now),
            device_pages=DevicePages(self.database, utc_now),
            settings_pages=SettingsPages(self.database),
            probe=self.reader.probe,
            access=self.access,
            people=self.people,
            audit=self.audit,
            enrolment=self.enrolment,
            succession=self.succession_desk,
            releases=ReleaseDesk(self.repository, self.artifacts, ReleaseStore(self.database), self.trust.changed),
            commands=self.commands,
            repeats=RepeatStore(self.database),
            configurations=self.settings_desk,
            targeting=self.targeting,
            preview=Preview(ReleaseStore(self.database), self.targeting),
            groups=self.groups,
            rollouts=self.rollout_desk,
            trust=self.repository,
            trust_desk=self.trust_desk,
            artifacts=self.artifacts,
            devices=self.credentials,
            addresses=self.addresses,
            simulation=Rehearsal(str(self.broker.address.simulation), self.devices) if self.broker.address.simulation else None,
            now=utc_now,
        )

    def _follow_trust(self, now: datetime, is_other_director: bool) -> None:
        """Speak with the keys that devices are told to trust from now on."""
        if is_other_director:
            self._wish_signer.reload()
            self.director.sign_all_again(now)
        self.trust.changed()

    def duties(self, doors: Doors) -> tuple[Duty, ...]:
        """Return what one server alone does."""
        herald = SuccessionHerald(self.authority, self.control_link, self.admit_all)
        shared = (Duty("gate", self.gate.follow, FOLLOW_S),) if self._is_shared else ()
        return (
            *shared,
            Duty("heir", self.heir.turn, STEP_S) if self.hears_always else Duty("ingest", self.ingest.turn),
            Duty("delivery", self.delivery.turn),
            Duty("deltas", self.deltas.turn),
            Duty("commands", self.commander.turn),
            Duty("renewals", self.renewals.turn),
            Duty("speak", self.speak, STEP_S),
            Duty("succession", herald.turn, FOLLOW_S),
            Duty("retention", self.let_go, RETENTION_S),
            Duty("house", partial(self.keep_house, doors.reload), HOUSEKEEPING_S),
        )

    def speak(self) -> None:
        """Bring rollouts forward, and the broker what it lacks."""
        if not self.leader.is_held():
            return
        if self._is_shared:
            self._wish_signer.reload()  # another server may have taken another key in
        self.conductor.turn(utc_now())
        if self.uplink_line.subscriptions != self._subscriptions_seen:
            self._subscriptions_seen = self.uplink_line.subscriptions
            self.broker.save()
        if not self.control_link.is_up:
            return
        if self.control_link.connections != self._connections_seen:
            self._connections_seen = self.control_link.connections
            self.trust.changed()
            self.director.publish_all_again()
        self.gate.turn()
        self.farewells.turn()
        self.trust.turn()
        self.director.publish()

    def admit_all(self) -> None:
        """Tell the broker whom to believe, and who is out; to be called before it starts."""
        following = self.authority.successor
        self.broker.believe({} if following is None else {f"{following.root.hash_name}.0": following.root.pem})
        self.gate.set(utc_now())  # with the list of revoked certificates that each root signs

    def hear_no_more(self) -> None:
        """Leave what devices say to the other servers, if there are any, or to the broker's keeping."""
        self.uplink_line.close()
        if self.hears_always:
            self.presence.leave()

    def let_go(self) -> None:
        """Sum up telemetry that grew old."""
        self.retention.turn(utc_now())

    def keep_house(self, show_other_certificate: Callable[[], None]) -> None:
        """Renew signatures before they end, and forget what is old."""
        now = utc_now()
        if now - self._server_identity_since > SERVER_LIFE / 2:
            self.authority.server_identity(self._server_names, now)
            self._server_identity_since = now
            self.broker.reload()
            show_other_certificate()
        if self.repository.refresh(now):
            self.trust.changed()
        self.director.renew(now)
        self.uplinks.prune(now)
        self.commands.prune(now)
        self.credentials.forget(now)


async def run(settings: Settings, announce: Callable[[Connection, bool], None]) -> None:
    """Serve until SIGINT or SIGTERM; call `announce` once people and devices can connect, and say whether anybody has a name yet.

    Raises FleetError.
    """
    keep_heap_small()
    home = Home(settings.folder)
    with ExitStack() as stack:
        stack.enter_context(home.locked(is_shared=settings.broker is not None))
        inside = stack.enter_context(bound(LOOPBACK, settings.port, "--port"))
        outside = stack.enter_context(bound(settings.host, settings.tls_port, "--tls-port"))
        if settings.broker is None:
            with bound(settings.host, settings.broker_port, "--broker-port"):
                pass  # mosquitto binds it next; asking first gives a better error
        with FolderLock(home.folder):  # the first of several makes what all use
            fleet = Fleet(home, settings)
        try:
            fleet.admit_all()
            await fleet.broker.start()
            services = fleet.services()
            app = build_app(services)
            dashboard.mount(app, services, Sessions(fleet.front_desk, fleet.openid), fleet.audit, session_secret(home))
            let_garbage_wait()
            has_people = bool(fleet.people.users())
            papers = Papers(fleet.server_identity, fleet.authority.certificate_file)
            doors = Doors(app, papers, lambda: announce(fleet.connection, has_people), settings.proxies)
            await _serve(fleet, doors, inside, outside)
        finally:
            fleet.hear_no_more()
            with anyio.CancelScope(shield=True):
                await fleet.broker.stop()
            fleet.database.close()


async def _serve(fleet: Fleet, doors: Doors, inside: socket.socket, outside: socket.socket) -> None:
    links: list[Link] = [fleet.control_link, fleet.renewal_link, fleet.command_link, fleet.bulk_link]
    links.append(fleet.heir if fleet.hears_always else fleet.uplink_line)
    roots = DoorRoots(fleet.authority, doors.believe)
    roots.turn()  # before anybody comes
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fleet.broker.keep_alive, name="broker")
        tasks.start_soon(repeat, roots.turn, FOLLOW_S, name="roots")
        if fleet.hears_always:
            tasks.start_soon(repeat, fleet.presence.turn, 0.0, name="ingest")
        tasks.start_soon(lead, fleet.leader, links, fleet.duties(doors), name="lead")
        await doors.serve(inside, outside)
        tasks.cancel_scope.cancel()


def _broker(home: Home, settings: Settings, address: Address) -> Broker | OutsideBroker | Emqx:
    if settings.broker is None:
        return Broker(home.broker, address)
    if settings.broker_api is not None:
        return Emqx(address, settings.broker_api)
    return OutsideBroker(home.broker, address, settings.broker[1])
