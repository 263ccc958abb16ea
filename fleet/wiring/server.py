"""Runs one server: binds its doors, puts it together, and serves until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack

import anyio

from fleet.connection import Connection
from fleet.dashboard import late as dashboard
from fleet.door_roots import DoorRoots
from fleet.doors import Doors, Papers, bound
from fleet.folder_lock import FolderLock
from fleet.heap import keep_heap_small, let_garbage_wait
from fleet.home import Home
from fleet.leading import Link, lead
from fleet.loops import repeat
from fleet.north.app import build_app
from fleet.secret_files import session_secret
from fleet.settings import LOOPBACK, Settings
from fleet.wiring.duties import FOLLOW_S, Duties
from fleet.wiring.fleet import Fleet
from fleet.wiring.services import services


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
            fleet.south.admit_all()
            await fleet.south.broker.start()
            doors = _doors(home, fleet, settings, announce)
            let_garbage_wait()
            await _serve(fleet, doors, inside, outside)
        finally:
            fleet.hearing.stop()
            with anyio.CancelScope(shield=True):
                await fleet.south.broker.stop()
            fleet.database.close()


def _doors(home: Home, fleet: Fleet, settings: Settings, announce: Callable[[Connection, bool], None]) -> Doors:
    """Return where API and dashboard are served."""
    served = services(fleet)
    app = build_app(served)
    dashboard.mount(app, served, fleet.people.sessions, fleet.people.audit, session_secret(home))
    papers = Papers(fleet.south.identity, fleet.south.authority.certificate_file)
    has_names = fleet.people.has_names
    return Doors(app, papers, lambda: announce(fleet.people.connection, has_names), settings.proxies)


async def _serve(fleet: Fleet, doors: Doors, inside: socket.socket, outside: socket.socket) -> None:
    south = fleet.south
    links: list[Link] = [south.control_link, south.renewal_link, south.command_link, south.bulk_link]
    links.append(fleet.hearing.heir if fleet.hearing.is_shared else south.uplink_line)
    roots = DoorRoots(south.authority, doors.believe)
    roots.turn()  # before anybody comes
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(south.broker.keep_alive, name="broker")
        tasks.start_soon(repeat, roots.turn, FOLLOW_S, name="roots")
        if fleet.hearing.is_shared:
            tasks.start_soon(repeat, fleet.hearing.presence.turn, 0.0, name="ingest")
        tasks.start_soon(lead, fleet.leader, links, Duties(fleet, doors).all(), name="lead")
        await doors.serve(inside, outside)
        tasks.cancel_scope.cancel()
