"""Touches a device to find out how it is: clock, disk, link, certificate, libraries, device files; what is absent is a fact too."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import ssl
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

import anyio

from agent.adapters import systemd
from agent.adapters.credential_process import CredentialProcess
from agent.adapters.environments import Environments
from agent.adapters.identity import IdentityFiles
from agent.adapters.installation import installed_seat
from agent.adapters.inventory import take_stock
from agent.adapters.saved_state import saved_memory
from agent.adapters.sensors import Sensors
from agent.adapters.sights import sights
from agent.config import Settings
from agent.core.checkup import Facts, Node
from agent.core.clock_floor import judged_now
from agent.core.install_plan import UNIT
from agent.core.renewal import Span
from agent.errors import CredentialError
from agent.runtimes.installed import installed_runtimes

LINK_S = 5.0
REFUSAL_S = 0.5
LIBRARY_FOLDERS = ("/usr/lib", "/usr/local/lib", f"/usr/lib/{os.uname().machine}-linux-gnu", f"/lib/{os.uname().machine}-linux-gnu")
LIBRARIES = ("libedgetpu", "libnvinfer")
# Coral's stick before and after its firmware is loaded.
EDGE_TPU_IDS = frozenset({("1a6e", "089a"), ("18d1", "9302")})
ACCELERATORS = ("apex_*", "nvhost-gpu", "nvhost-ctrl-gpu", "nvmap", "nvidia[0-9]")
OTHERS = ("vcio", "gpiochip*")


async def examine(settings: Settings) -> Facts:
    """Gather every fact; takes a few seconds where the broker does not answer."""
    seat = installed_seat()
    state = systemd.properties(UNIT, "ActiveState")["ActiveState"] if seat is not None else None
    user = seat.user if seat is not None else pwd.getpwuid(os.geteuid()).pw_name
    floor = saved_memory(settings.state_dir).floor
    now = datetime.now(timezone.utc)
    try:
        identity = IdentityFiles(settings, lambda: judged_now(datetime.now(timezone.utc), floor))
        span, certificate_problem = await _certificate(settings, identity)
        link_problem = await _link_problem(settings.config.broker.host, settings.config.broker.port, identity)
    except OSError as error:  # the files are root's and the service's
        span, certificate_problem = None, str(error)
        link_problem = f"cannot be tried: {error}"
    free, state_problem = _room(settings.state_dir)
    broker = settings.config.broker
    nodes = _Nodes(user)
    sensors = Sensors(Path("/"))
    return Facts(
        service_state=state,
        upgrade_cut_off=seat is not None and _is_cut_off(Path(seat.prefix)),
        user=user,
        now=now,
        floor=None if floor is None else floor.moment,
        is_synchronized=_is_synchronized(),
        state_dir=str(settings.state_dir),
        state_problem=state_problem,
        disk_free_bytes=free,
        broker=f"{broker.host}:{broker.port}",
        link_problem=link_problem,
        certificate=span,
        certificate_problem=certificate_problem,
        hardware=settings.config.device.hardware,
        runtimes={str(name): version for name, version in installed_runtimes().items()},
        delegates=_libraries(),
        accelerators=nodes.of((*_matching(ACCELERATORS), *_edge_tpu_sticks())),
        cameras=nodes.of(_matching(("video*",))),
        others=nodes.of(_matching(OTHERS)),
        throttled_bits=await sensors.throttled_bits(),
        temperature_c=(await sensors.condition()).temperature_c,
        sights=await sights(settings, now),
        inventory=await anyio.to_thread.run_sync(take_stock),
    )


class _Nodes:
    """Judges device files by the numbers of one user."""

    def __init__(self, user: str) -> None:
        try:
            account = pwd.getpwnam(user)
        except KeyError:  # an agent that was half removed
            self._user, self._groups = -1, set[int]()
        else:
            self._user, self._groups = account.pw_uid, set(os.getgrouplist(user, account.pw_gid))

    def of(self, paths: Iterable[Path]) -> tuple[Node, ...]:
        return tuple(self._node(path) for path in sorted(paths))

    def _node(self, path: Path) -> Node:
        found = path.stat()
        mode = found.st_mode
        is_open = self._user in {0, found.st_uid} or bool(found.st_gid in self._groups and mode & 0o020) or bool(mode & 0o002)
        try:
            group = grp.getgrgid(found.st_gid).gr_name
        except KeyError:
            group = str(found.st_gid)
        return Node(str(path), group, is_open)


def _matching(patterns: Iterable[str]) -> list[Path]:
    return [path for pattern in patterns for path in Path("/dev").glob(pattern) if path.is_char_device()]


def _edge_tpu_sticks() -> list[Path]:
    found = []
    for folder in Path("/sys/bus/usb/devices").glob("*"):
        texts = [_text(folder / name) for name in ("idVendor", "idProduct", "busnum", "devnum")]
        if (texts[0], texts[1]) in EDGE_TPU_IDS:
            path = Path(f"/dev/bus/usb/{int(texts[2]):03}/{int(texts[3]):03}")
            found += [path] if path.exists() else []
    return found


def _libraries() -> tuple[str, ...]:
    return tuple(name for name in LIBRARIES if any(next(Path(folder).glob(f"{name}.so*"), None) for folder in LIBRARY_FOLDERS))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _is_synchronized() -> bool | None:
    said = systemd.ask(["timedatectl", "show", "--property=NTPSynchronized", "--value"]).strip()
    return {"yes": True, "no": False}.get(said)


def _is_cut_off(prefix: Path) -> bool:
    environments = Environments(prefix)
    if environments.trial() is None or os.geteuid() != 0:
        return False
    with environments.lead() as is_ours:
        return is_ours


def _room(state_dir: Path) -> tuple[int | None, str]:
    folder = state_dir
    try:
        # Before its first start the agent has made none; it will where this one is.
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free, ""
    except OSError as error:
        return None, error.strerror or repr(error)


async def _certificate(settings: Settings, identity: IdentityFiles) -> tuple[Span | None, str]:
    try:
        return await CredentialProcess().span(settings.config.device.id, identity.identity(), identity.authority()), ""
    except (CredentialError, OSError) as error:
        return None, str(error)


async def _link_problem(host: str, port: int, identity: IdentityFiles) -> str:
    """Return why a connection to the broker, by our certificate, cannot be made; empty when it can."""
    try:
        context = identity.tls_context()
    except OSError as error:
        return f"{error.strerror or error}"

    def shake_hands() -> str:
        try:
            line = socket.create_connection((host, port), LINK_S)
            with line, context.wrap_socket(line, server_hostname=host) as secure:
                return _objection(secure)
        except ssl.SSLError as error:
            return f"TLS: {error.reason or error}"
        except OSError as error:
            return error.strerror or str(error)

    return await anyio.to_thread.run_sync(shake_hands)


def _objection(secure: ssl.SSLSocket) -> str:
    """Wait a moment for a refusal of our certificate: with TLS 1.3 it arrives after the handshake."""
    secure.settimeout(REFUSAL_S)
    try:
        secure.recv(1)
    except TimeoutError:
        return ""  # it waits for us to speak
    return "it closed the connection without a word"
