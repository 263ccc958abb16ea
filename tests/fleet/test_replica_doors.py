"""Doors of servers that do not lead: a device that has come over to the authority's next root may come to any server, at once."""

from __future__ import annotations

import ssl
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from fleet.certificates import CURVE, Root, private_pem
from tests.fleet.server import FleetProcess, wait_for
from tests.fleet.test_two_servers import Pair


def papers_of_next_root(home: Path, out: Path) -> Path:
    """Return key and certificate of a device by the next root."""
    root = Root((home / "authority" / "next.key").read_bytes(), (home / "authority" / "next.pem").read_bytes(), "next")
    key, now = ec.generate_private_key(CURVE()), datetime.now(timezone.utc)
    out.write_bytes(private_pem(key) + root.client("pi-1", key.public_key(), now, now + timedelta(days=1)).pem.encode())
    return out


def believes(server: FleetProcess, papers: Path) -> bool:
    """Say whether a server's door with TLS takes a certificate; it answers anybody whose certificate it can place."""
    context = ssl.create_default_context(cafile=str(server.folder / "authority" / "ca.pem"))
    context.load_cert_chain(papers)
    try:
        return httpx.get(f"{server.tls_url}/healthz", verify=context, timeout=30).is_success
    except httpx.TransportError:
        return False


def test_every_server_believes_a_next_root_while_it_runs_and_after_its_next_start(tmp_path: Path) -> None:
    with ExitStack() as stack:
        pair = Pair(tmp_path, stack)
        home = pair.first.folder
        # When one of the servers makes the next root
        with pair.api(pair.second) as api:
            api.post("authority/successor").raise_for_status()
        papers = papers_of_next_root(home, tmp_path / "pi-1.pem")
        # Then both believe it without a restart, whoever leads
        wait_for(lambda: believes(pair.first, papers))
        wait_for(lambda: believes(pair.second, papers))
        # And one that starts later does so from its first connection on
        pair.second.stop()
        with FleetProcess(home, pair.second, *pair.second.options) as again:
            assert believes(again, papers)
