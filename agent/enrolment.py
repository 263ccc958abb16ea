"""Makes a machine a device of a fleet: a key made here, a certificate for it, and the folder that `fieldfare agent run` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.adapters import disk
from agent.adapters.front_door import FrontDoor
from agent.adapters.identity import SECRET_MODE
from agent.config_file import CONFIG_FILE, check_settings, config_of, to_toml
from agent.control.reporter import utc_now
from agent.core.renewal import Check
from agent.credential import new_key, request_for, span_of
from agent.errors import AlreadyEnrolledError, StateError
from contracts.enrolment import parse_token

# Made before anything is asked, and shown again if the answer gets lost: the same key with the same token gets the same answer.
PENDING_KEY = "enrolment.key"


@dataclass(frozen=True)
class Order:
    """What the command was told."""

    server: str
    token: str
    # None: as the token says.
    name: str | None
    # Of agent.toml, by path.
    settings: Mapping[str, str]
    folder: Path


def enrol(order: Order) -> str:
    """Enrol this machine and return the device's name; raise AgentError or ContractError.

    The folder holds a whole device at the end, or nothing but a key with which the same command goes on.
    """
    token = parse_token(order.token)
    door = FrontDoor(order.server, token, utc_now)
    check_settings(order.settings)
    _check_free(order.folder)
    authority = door.authority()
    key = _pending_key(order.folder)
    enrolled = door.enrol(authority, order.name, request_for(key, order.name))
    config = config_of(enrolled, door.server, order.settings)
    span_of(Check(device=enrolled.device, identity=key + enrolled.certificate, authority=authority))
    try:
        disk.write_whole(order.folder / config.broker.ca_file, authority.encode())
        disk.write_whole(order.folder / config.trust.root_file, enrolled.root.encode())
        disk.write_whole(order.folder / config.broker.identity_file, (key + enrolled.certificate).encode(), SECRET_MODE)
        disk.write_whole(order.folder / CONFIG_FILE, to_toml(config).encode())  # the last: with it the device is whole
        (order.folder / PENDING_KEY).unlink()
    except OSError as error:
        raise StateError(str(order.folder), str(error)) from error
    return enrolled.device


def _check_free(folder: Path) -> None:
    if (folder / CONFIG_FILE).exists():
        raise AlreadyEnrolledError(str(folder))


def _pending_key(folder: Path) -> str:
    file = folder / PENDING_KEY
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            disk.write_whole(file, new_key().encode(), SECRET_MODE)
        return file.read_text()
    except OSError as error:
        raise StateError(str(folder), error.strerror or str(error)) from error
