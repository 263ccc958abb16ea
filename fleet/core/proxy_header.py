"""Reads the first bytes of a connection that a balancer passes on: the PROXY protocol, versions 1 and 2 (haproxy, proxy-protocol.txt)."""

from __future__ import annotations

import ipaddress
import struct

from fleet.errors.server import ProxyHeaderError

Address = tuple[str, int]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
# What both versions have at least; and version 2 before its addresses.
FIRST_BYTES, HEAD_BYTES = len(SIGNATURE), len(SIGNATURE) + 4
MAX_LINE_BYTES = 107
# Addresses, and whatever else a balancer tells, such as the name that was asked for.
MAX_REST_BYTES = 2048
_LOCAL, _PROXY = 0x20, 0x21
# Sizes of an address by family and transport: TCP over IPv4 and over IPv6.
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}


def is_line(first: bytes) -> bool:
    """Say whether the first twelve bytes begin version 1, a line of text; raise ProxyHeaderError when they begin neither version."""
    if first != SIGNATURE and not first.startswith(b"PROXY "):
        raise ProxyHeaderError(f"{first!r}")
    return first != SIGNATURE


def read_line(line: bytes) -> Address | None:
    """Return who comes by version 1, None where the balancer does not say; raise ProxyHeaderError."""
    parts = line.decode("latin-1").removesuffix("\r\n").split(" ")
    if parts[1:2] == ["UNKNOWN"]:
        return None
    try:
        _, kind, source, _, port, _ = parts
        return _checked(source, {"TCP4": 4, "TCP6": 6}[kind], int(port))
    except (ValueError, KeyError) as error:
        raise ProxyHeaderError(f"{line!r}") from error


def rest_bytes(head: bytes) -> int:
    """Return how many bytes follow the head of version 2; raise ProxyHeaderError."""
    (length,) = struct.unpack(">H", head[14:16])
    if head[12] not in (_LOCAL, _PROXY) or length > MAX_REST_BYTES:
        raise ProxyHeaderError(f"{head[12:]!r}")
    return int(length)


def read_rest(head: bytes, rest: bytes) -> Address | None:
    """Return who comes by version 2, None where the balancer asks for itself or does not say; raise ProxyHeaderError."""
    size = _ADDRESS_BYTES.get(head[13])
    if head[12] == _LOCAL or size is None:
        return None
    if len(rest) < 2 * size + 4:
        raise ProxyHeaderError(f"{rest!r}")
    return str(ipaddress.ip_address(rest[:size])), int(struct.unpack(">H", rest[2 * size : 2 * size + 2])[0])


def _checked(source: str, version: int, port: int) -> Address:
    address = ipaddress.ip_address(source)
    if address.version != version or not 0 <= port < 65536:
        raise ValueError(source)
    return str(address), port
