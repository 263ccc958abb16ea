"""A signed release names where its files are: a device whose owner allows the host fetches them there, any other asks nobody new."""

from __future__ import annotations

import pytest

from contracts import codec
from contracts.lifecycle import Phase
from contracts.messages import Want
from tests.agent.conftest import DEVICE, AgentProcess
from tests.live.authority import authority, server_identity
from tests.sim.fleet import SimFleet
from tests.sim.range_server import RangeServer, serving
from tests.sim.releases import make_release


def allow(device: AgentProcess, *hosts: str) -> None:
    """Ask HTTPS first, and the broker where that fails."""
    named = ", ".join(f'"{host}"' for host in hosts)
    text = device.config.read_text()
    device.config.write_text(f'{text}\n[delivery]\nsources = ["https", "mqtt"]\nrelease_hosts = [{named}]\n')


def address_of(server: RangeServer) -> str:
    return f"127.0.0.1:{server.server_address[1]}"


@pytest.mark.parametrize(
    ("is_allowed", "fault"), [(True, ""), (True, "wrong"), (False, "")], ids=["allowed", "allowed, but lies", "not allowed"]
)
def test_files_come_from_where_the_release_says_if_the_owner_allows_it(
    fleet: SimFleet, device: AgentProcess, monkeypatch: pytest.MonkeyPatch, *, is_allowed: bool, fault: str
) -> None:
    # Given a server with a release's files, which the release names
    monkeypatch.setenv("SSL_CERT_FILE", str(authority().certificate_file))
    release = make_release(1)
    files = (codec.encode(release.manifest), *release.files.values())
    with serving(*files, identity=server_identity()) as server:
        if fault:
            server.fault, server.answers = fault, 0
        allow(device, address_of(server) if is_allowed else "cdn.example.org")
        device.start()
        # When the fleet wishes for it
        fleet.release(release, sources=(server.url,))
        fleet.wish(DEVICE, 1, release)
        # Then it serves in any case, and only where the host is allowed was the server asked
        fleet.wait_for_model(DEVICE, lambda model: model.current == release.ref and model.phase is Phase.COMMITTED)
        assert device.who_serves() == "1"
        assert bool(server.requests) == is_allowed
        assert bool(fleet.all(Want)) == (not is_allowed or bool(fault))
