"""Touches the sockets on which a model is served: bound here once, inherited by every worker of the model."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import NoFreePortError, StateError

BACKLOG = 256
MAX_PORTS_TRIED = 64
SOCKET_MODE = 0o660


@dataclass(frozen=True)
class Listeners:
    """A model's two doors."""

    tcp: socket.socket
    unix: socket.socket
    endpoint: str
    port: int

    @property
    def fds(self) -> tuple[int, ...]:
        """Descriptors to inherit: Unix first."""
        return (self.unix.fileno(), self.tcp.fileno())

    def close(self) -> None:
        """Shut both doors."""
        self.tcp.close()
        self.unix.close()


def open_listeners(host: str, ports: list[int], unix_path: Path) -> Listeners:
    """Listen on the first free port and on `unix_path`; raise NoFreePortError or StateError."""
    tcp = _bind_first_free(host, ports)
    try:
        unix = _bind_unix(unix_path)
    except OSError as error:
        tcp.close()
        raise StateError(str(unix_path), error.strerror or repr(error)) from error
    port = int(tcp.getsockname()[1])
    shown = f"[{host}]" if ":" in host else host
    return Listeners(tcp, unix, f"http://{shown}:{port}", port)


def _bind_first_free(host: str, ports: list[int]) -> socket.socket:
    for port in ports:
        with suppress(OSError):
            return socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
    raise NoFreePortError(host, ports[0], len(ports))


def _bind_unix(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    # A socket's path may have 107 bytes; through its folder's descriptor it is always short enough.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        path.chmod(SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
