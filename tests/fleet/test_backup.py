"""How a fleet's memory goes into one file and comes back, from either kind of database into either."""

from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from contracts.errors import InvalidDocumentError, TamperedError
from contracts.lifecycle import Phase
from fleet.acting import Acting, acting
from fleet.backup import INDEX, back_up, restore
from fleet.core.audit import Chain
from fleet.core.devices import Device
from fleet.core.roles import Role
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Member, Rollout
from fleet.core.rollout.plan import Plan
from fleet.errors.server import FolderNotEmptyError
from fleet.errors.store import BackupExistsError, DatabaseNotEmptyError, NewerDatabaseError, NoBackupError, NoFleetError, OlderDatabaseError
from fleet.home import Home
from fleet.store.access import AccessStore
from fleet.store.audit import AuditStore
from fleet.store.backup import load
from fleet.store.database import Database
from fleet.store.place import PostgresUrl
from fleet.store.retention import Retention
from fleet.store.rollouts import RolloutStore
from fleet.store.sqlite import SqliteFile
from fleet.store.steps import migrate
from fleet.store.tables import metadata
from fleet.store.uplinks import UplinkStore
from tests.fleet.bundles import make_bundle
from tests.fleet.databases import KINDS, new_place
from tests.fleet.server import FleetProcess, fieldfare
from tests.fleet.test_fleet_store import NOW, RELEASE, admit, event, heard, window
from tests.sim.device import SimDevice

KEY = "a private key"
NEW_ROLLOUT = (
    Rollout(0, RELEASE, "all", Plan(), "anna", NOW, {"pi-1": Member("pi-1", Phase.PLANNED, None, RELEASE)}),
    Entry(NOW, "anna", "start", ""),
)


def place_of(kind: str) -> PostgresUrl | None:
    """Return a new database on the server, or the folder's own file."""
    place = new_place(kind, Path(), is_empty=False)
    return place if isinstance(place, PostgresUrl) else None


def make_home(folder: Path, place: PostgresUrl | None) -> Home:
    """Make a server's folder with something of everything in it."""
    home = Home(folder)
    for name, content in {
        "trust/timestamp.json": "a timestamp",
        "trust/1.root.json": "a root",
        "keys/online/director.pem": KEY,
        "authority/ca.key": KEY,
        "authority/ca.pem": "a certificate",
        f"artifacts/ab/{'ab' * 32}": "a model",
        "connection.json": "a token",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    database = Database(place or home.database)
    for number in range(3):
        admit(database, Device(f"pi-{number}", "rpi5", {"site": "lyon"}, NOW))
    UplinkStore(database, timedelta(days=30)).save([heard(event(1), "pi-1"), heard(window(2), "pi-2")])
    Retention(database).turn(NOW + timedelta(days=40))
    for _ in range(2):
        rollouts = RolloutStore(database)
        number = rollouts.add(*NEW_ROLLOUT)
        with database.writing() as connection:
            connection.exec_driver_sql(f"UPDATE rollouts SET state = 'failed', ended_at = 1 WHERE id = {number}")
    with acting(Acting(NOW, "api 127.0.0.1", "tokens.create", "token owner", "admin", "anna")):
        AccessStore(database).add_token("a secret", "anna", Role.OPERATOR, None, NOW)
    database.close()
    return home


def rows_of(place: Path | PostgresUrl) -> dict[str, list[str]]:
    """Return all that a database holds."""
    database = Database(place, is_as_found=True)
    with database.reading() as connection:
        found = {table.name: sorted(map(str, connection.execute(select(table)))) for table in metadata.sorted_tables}
    database.close()
    return found


@pytest.mark.parametrize(("kind", "other"), [(kind, other) for kind in KINDS for other in KINDS])
def test_a_backup_of_either_database_comes_back_on_either(tmp_path: Path, kind: str, other: str) -> None:
    # Given a server's folder and database
    place, new = place_of(kind), place_of(other)
    home = make_home(tmp_path / "home", place)
    # When they are backed up with their keys, and restored elsewhere
    made = back_up(home, place, tmp_path / "b.fieldfare", NOW, with_keys=True)
    restored = restore(tmp_path / "b.fieldfare", Home(tmp_path / "new"), new)
    # Then every row is there again, the keys and signed lists too, and what is missing is named
    assert rows_of(new or tmp_path / "new" / "fleet.db") == rows_of(place or home.database)
    assert {name: count for name, count in made.rows.items() if count} == {
        "devices": 3, "certificates": 3, "events": 1, "work_buckets": 1, "rollouts": 2, "rollout_devices": 2, "rollout_history": 2,
        "tallies": 2, "tokens": 1, "audit": 1,
    }  # fmt: skip
    files = {str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*") if path.is_file()} - {"fleet.db"}
    assert files == {"trust/timestamp.json", "trust/1.root.json", "keys/online/director.pem", "authority/ca.key", "authority/ca.pem"}
    assert restored.missing == ("ab" * 32,)
    assert restored.index == made
    # And numbers go on
    database = Database(new or tmp_path / "new" / "fleet.db")
    assert RolloutStore(database).add(*NEW_ROLLOUT) == 3
    # And the audit log goes on as one chain
    AuditStore(database).add(Acting(NOW, "api 127.0.0.1", "tokens.remove", "token owner", "admin", "anna"))
    chain = Chain()
    for entry in AuditStore(database).page(None, 10):
        chain.follow(entry)
    assert chain.finish().number == 2
    database.close()


def test_only_the_owner_reads_a_backup_and_it_holds_no_key_unless_asked_for(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", None)
    file = tmp_path / "b.fieldfare"

    back_up(home, None, file, NOW, with_keys=False)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    plain = gzip.decompress(file.read_bytes())
    assert b"a timestamp" in plain
    assert KEY.encode() not in plain
    restore(file, Home(tmp_path / "new"), None)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert not (tmp_path / "new" / "keys").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", None)
    file = tmp_path / "b.fieldfare"
    back_up(home, None, file, NOW, with_keys=False)
    full = place_of("postgres")
    assert full is not None
    database = Database(full)
    admit(database, Device("pi-9", "rpi5", {}, NOW))
    database.close()

    with pytest.raises(BackupExistsError):
        back_up(home, None, file, NOW, with_keys=False)
    with pytest.raises(FolderNotEmptyError):
        restore(file, home, None)
    with pytest.raises(DatabaseNotEmptyError, match="found rows in"):
        restore(file, Home(tmp_path / "new"), full)

    assert not (tmp_path / "new").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.fieldfare", "home"]


def test_what_is_no_fleet_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(NoFleetError):
        back_up(Home(tmp_path / "nowhere"), None, tmp_path / "b.fieldfare", NOW, with_keys=False)
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_version_is_neither_changed_nor_backed_up(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", None)
    home.database.unlink()
    engine = SqliteFile(home.database).engine
    with engine.begin() as connection:
        migrate(connection, "an earlier database", "v0001")
    engine.dispose()

    with pytest.raises(OlderDatabaseError, match="found v0001"):
        back_up(home, None, tmp_path / "b.fieldfare", NOW, with_keys=False)


def test_a_backup_of_an_earlier_version_comes_back_and_one_of_a_later_does_not(tmp_path: Path) -> None:
    # Given the databases in two backups: one of the first shape with a device, one of a shape that nobody knows yet
    for name, version in {"earlier": "v0001", "later": "head"}.items():
        engine = SqliteFile(tmp_path / name).engine
        with engine.begin() as connection:
            migrate(connection, name, version)
            if name == "earlier":
                connection.exec_driver_sql("INSERT INTO devices VALUES ('pi-1', 'rpi5', '{}', 'a hash', 1, NULL)")
            else:
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v9999'")
        engine.dispose()
    place = place_of("postgres")
    assert place is not None
    target = Database(place)
    # Then the one comes back
    assert load(tmp_path / "earlier", target)["devices"] == 1
    # And the other does not
    with pytest.raises(NewerDatabaseError, match="found v9999"):
        load(tmp_path / "later", target)
    target.close()


def repacked(file: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Return a backup whose parts somebody changed."""
    changed = file.with_name("changed.fieldfare")
    with tarfile.open(file) as old, tarfile.open(changed, "w:gz") as new:
        for member in old.getmembers():
            stream = old.extractfile(member)
            assert stream is not None
            raw = change(member.name, stream.read())
            member.size = len(raw)
            new.addfile(member, io.BytesIO(raw))
    return changed


def climbing(name: str, raw: bytes) -> bytes:
    """Let the index name a file outside the folder."""
    if name != INDEX:
        return raw
    index = json.loads(raw)
    index["parts"]["../outside"] = index["parts"]["trust/1.root.json"]
    return json.dumps(index).encode()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda _name, raw: raw.replace(b"a root", b"a toor"), TamperedError),
        (lambda name, raw: raw.replace(b"a root", b"") if name != INDEX else raw, TamperedError),
        (lambda name, raw: raw + b"more" if name == "fleet.db" else raw, NoBackupError),
        (lambda name, raw: b"{}" if name == INDEX else raw, InvalidDocumentError),
        (climbing, InvalidDocumentError),
    ],
)
def test_a_backup_that_was_changed_is_refused_and_leaves_nothing(
    tmp_path: Path, change: Callable[[str, bytes], bytes], error: type[Exception]
) -> None:
    back_up(make_home(tmp_path / "home", None), None, tmp_path / "b.fieldfare", NOW, with_keys=False)

    with pytest.raises(error):
        restore(repacked(tmp_path / "b.fieldfare", change), Home(tmp_path / "new"), None)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.fieldfare", "changed.fieldfare", "home"]


def test_a_file_that_is_no_backup_or_half_of_one_is_refused(tmp_path: Path) -> None:
    back_up(make_home(tmp_path / "home", None), None, tmp_path / "b.fieldfare", NOW, with_keys=False)
    whole = (tmp_path / "b.fieldfare").read_bytes()
    for content in (b"nothing of the kind", whole[: len(whole) // 2], b""):
        (tmp_path / "half.fieldfare").write_bytes(content)
        with pytest.raises(NoBackupError):
            restore(tmp_path / "half.fieldfare", Home(tmp_path / "new"), None)
        assert not (tmp_path / "new").exists()


def test_a_backup_of_a_running_server_becomes_a_server_that_its_devices_know(tmp_path: Path) -> None:
    # Given a server with a device that runs a release
    file = tmp_path / "b.fieldfare"
    with FleetProcess(tmp_path / "home") as first:
        folder = first.add_device("pi-1")
        make_bundle(tmp_path / "b", release=1)
        first.ask("release", "add", str(tmp_path / "b"))
        with SimDevice(folder):
            assert first.ask("rollout", "start", "digits", "--to", "all", "--wait")["state"] == "succeeded"
            # When it is backed up while it runs, and comes back in another folder
            done = first.run("fleet", "backup", str(file), "--with-keys")
            assert done.returncode == 0, done.stderr
    done = fieldfare(tmp_path / "new", "fleet", "restore", str(file))
    assert done.returncode == 0, done.stderr
    (tmp_path / "home" / "artifacts").rename(tmp_path / "new" / "artifacts")
    # Then the device is at home there: it is sent the next release, and takes it
    with FleetProcess(tmp_path / "new", first) as second:
        assert second.ask("release", "list")[0]["running_on"] == 1
        with SimDevice(folder) as device:
            make_bundle(tmp_path / "b2", release=2)
            second.ask("release", "add", str(tmp_path / "b2"))
            assert second.ask("rollout", "start", "digits", "--to", "all", "--wait")["state"] == "succeeded"
            assert device.problems == []
