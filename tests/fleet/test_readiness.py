"""What a server says to a balancer in front of it while its database is away."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.fleet.databases import postgres
from tests.fleet.server import FleetProcess, wait_for


def test_a_server_lives_but_is_not_ready_while_its_database_lets_nobody_in(tmp_path: Path) -> None:
    name = postgres().new_database().shown.rpartition("/")[2]
    with FleetProcess(tmp_path / "home", None, "--database", postgres().url(name)) as fleet:
        url = fleet.connection["url"]
        assert httpx.get(f"{url}/readyz", timeout=30).status_code == httpx.codes.OK
        # When the database lets nobody in, and ends who is in
        postgres().do(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        postgres().do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        # Then the server is passed over, and lives
        wait_for(lambda: httpx.get(f"{url}/readyz", timeout=30).status_code == httpx.codes.SERVICE_UNAVAILABLE)
        assert httpx.get(f"{url}/healthz", timeout=30).status_code == httpx.codes.OK
        # And is ready again once it can be
        postgres().do(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
        wait_for(lambda: httpx.get(f"{url}/readyz", timeout=30).status_code == httpx.codes.OK)
