"""Serves a simulated fleet: python -m tests.fleet.dashboard.serve PORT CODE,CODE,... DEVICES SPEED NAME=PASSWORD=ROLE..."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from fleet.core.roles import ROLE_BY_WORD, Role
from fleet.dashboard.late import mount
from fleet.dashboard.session import Sessions
from fleet.front_desk import FrontDesk, Registers
from fleet.passwords import Passwords
from fleet.store.access import AccessStore
from fleet.store.audit import AuditStore
from fleet.store.database import Database
from fleet.store.login_failures import LoginFailureStore
from fleet.store.people import PeopleStore
from fleet.store.sessions import SessionStore
from tests.sim.fleet_desks import PlayedServices
from tests.sim.fleet_reader import MovingFleet


def now() -> datetime:
    """Return aware UTC."""
    return datetime.now(timezone.utc)


def desk_of(database: Database, codes: list[str], people: list[str]) -> FrontDesk:
    """Let people in by name, and each code once, as an admin's token."""
    passwords, names, links = Passwords(), PeopleStore(database), AccessStore(database)
    links.add_token("the owner's token", "owner", Role.ADMIN, None, now())
    for code in codes:
        links.add_code(code, "owner", now() + timedelta(hours=1), now())
    for person in people:
        name, password, role = person.split("=")
        names.add(name, ROLE_BY_WORD[role], passwords.kept(password), now())
    registers = Registers(names, LoginFailureStore(database), SessionStore(database), links, AuditStore(database))
    return FrontDesk(registers, passwords, now)


def main(port: int, codes: list[str], devices: int, speed: float, people: list[str]) -> None:
    """Serve until a signal; each code signs in once."""
    database = Database(Path("fleet.db").absolute())
    app = FastAPI()

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    mount(
        app,
        PlayedServices(MovingFleet(devices, speed=speed)),
        Sessions(desk_of(database, codes, people)),
        AuditStore(database),
        "only-for-tests",
    )
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:])
