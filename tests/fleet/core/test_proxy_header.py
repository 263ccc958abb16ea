"""The PROXY protocol's header: whom it names, and that whatever else comes is refused by name and by nothing else."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.proxy_header import HEAD_BYTES, SIGNATURE, is_line, read_line, read_rest, rest_bytes
from fleet.errors.server import ProxyHeaderError


def test_both_versions_name_who_comes() -> None:
    v4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 4000, 8481)
    v6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + struct.pack(">HH", 4001, 8481)
    assert read_line(b"PROXY TCP4 192.0.2.7 10.0.0.1 4000 8481\r\n") == ("192.0.2.7", 4000)
    assert read_line(b"PROXY TCP6 2001:DB8::7 ::1 4001 8481\r\n") == ("2001:db8::7", 4001)
    assert read_rest(SIGNATURE + b"\x21\x11\0\x0c", v4 + b"more that a balancer tells") == ("192.0.2.7", 4000)
    assert read_rest(SIGNATURE + b"\x21\x21\0\x24", v6) == ("2001:db8::7", 4001)


def test_a_balancer_that_asks_for_itself_names_nobody() -> None:
    assert read_line(b"PROXY UNKNOWN\r\n") is None
    assert read_line(b"PROXY UNKNOWN whatever it likes\r\n") is None
    assert read_rest(SIGNATURE + b"\x20\0\0\0", b"") is None
    assert read_rest(SIGNATURE + b"\x21\x31\0\0", b"") is None


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    ],
)
def test_a_line_that_names_nobody_in_particular_is_refused(line: bytes) -> None:
    with pytest.raises(ProxyHeaderError, match="PROXY protocol"):
        read_line(line)


def refusal(read: Callable[[], object]) -> str:
    """Return why something was refused, nothing when it was read."""
    try:
        read()
    except ProxyHeaderError as error:
        return str(error)
    return ""


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=64), st.binary(max_size=107))
def test_chance_is_read_or_refused_by_name_in_one_line(end: bytes, rest: bytes, line: bytes) -> None:
    head = SIGNATURE + end
    assert len(head) == HEAD_BYTES
    for read in (lambda: rest_bytes(head) and read_rest(head, rest), lambda: read_line(b"PROXY " + line), lambda: is_line(line[:12])):
        assert "\n" not in refusal(read)
