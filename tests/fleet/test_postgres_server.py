"""A fleet server whose database lies on a PostgreSQL server, as its operator runs it."""

from __future__ import annotations

from pathlib import Path

from tests.fleet.bundles import make_bundle
from tests.fleet.databases import postgres
from tests.fleet.server import FleetProcess, wait_for
from tests.sim.device import SimDevice


def test_a_rollout_succeeds_and_survives_a_restart_and_the_password_is_nowhere_to_be_read(tmp_path: Path) -> None:
    # Given a server that finds its database, and the password, in a file
    place = postgres().new_database()
    secret = tmp_path / "database.url"
    secret.write_text(place.url.replace("postgresql+psycopg://fleet@", "postgresql://fleet:hunter2hunter2@"))
    secret.chmod(0o600)
    with FleetProcess(tmp_path / "home", None, "--database", str(secret)) as first:
        folder = first.add_device("pi-1")
        make_bundle(tmp_path / "b", release=1)
        first.ask("release", "add", str(tmp_path / "b"))
        # When a release is rolled out, a device reports, and the server starts again
        with SimDevice(folder) as device, first.api as api:
            assert first.ask("rollout", "start", "digits", "--to", "all", "--wait")["state"] == "succeeded"
            device.send_event("before\0after")
            wait_for(lambda: any("before\ufffdafter" in event["text"] for event in api.get("devices/pi-1").json()["events"]))
        assert first.process is not None
        arguments = Path(f"/proc/{first.process.pid}/cmdline").read_text()
    with FleetProcess(tmp_path / "home", first, "--database", str(secret)) as second:
        # Then everything is there, none of it in the folder
        assert second.ask("release", "list")[0]["running_on"] == 1
        assert second.ask("rollout", "list")[0]["state"] == "succeeded"
        assert not (second.folder / "fleet.db").exists()
    # And nobody but the file says the password
    said = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file() and path != secret]
    assert len(said) > 10
    assert not any("hunter2" in text for text in (arguments, *said))
