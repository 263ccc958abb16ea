"""The system's files of a version: renewed where they differ, kept for the way back, put back as they were."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import pytest

from agent.adapters.unit_files import UnitFiles
from agent.core.install_plan import SYSTEM_FILES, UNIT, Seat

UNITS = Path(__file__).parents[3] / "systemd"
SEAT = Seat(PurePosixPath("/opt/fieldfare"), "birds")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with a camera's group, on which version 1 put its files."""
    root = tmp_path / "machine"
    (root / "etc").mkdir(parents=True)
    (root / "etc/group").write_text("root:x:0:\nvideo:x:44:\n")
    units = UnitFiles(tmp_path / "opt", root)
    list(units.renew(units.of_version(version(tmp_path, "1"), SEAT)))
    return root


def version(folder: Path, name: str, unit: str = "") -> Path:
    """Return an environment whose version has more in its unit."""
    made = folder / "versions" / name
    units = made / "lib/python3.11/site-packages/agent/units"
    units.mkdir(parents=True)
    for path in UNITS.glob("fieldfare-agent.*"):
        shutil.copy(path, units / path.name)
    (units / UNIT).write_text((UNITS / UNIT).read_text() + unit)
    return made


def contents(root: Path) -> dict[str, str]:
    """Return what lies there now."""
    paths = {name: root / path.relative_to("/") for name, path in SYSTEM_FILES.items()}
    return {name: path.read_text() for name, path in paths.items() if path.exists()}


def test_only_what_differs_is_renewed_and_put_back_as_it_was(tmp_path: Path, machine: Path) -> None:
    # Given a machine on which somebody has removed one file
    units = UnitFiles(tmp_path / "opt", machine)
    (machine / "etc/tmpfiles.d/fieldfare-agent.conf").unlink()
    before = contents(machine)
    # When another version comes with another unit
    wanted = units.of_version(version(tmp_path, "2", "# another\n"), SEAT)
    changed = units.differing(wanted)
    units.keep(changed)
    assert [line.split("/")[-1] for line in units.renew(changed)] == ["fieldfare-agent.conf", UNIT]
    after = contents(machine)
    assert after[UNIT].endswith("# another\n")
    assert "ExecStart=/opt/fieldfare/current/bin/fieldfare" in after[UNIT]
    assert "m birds video" in after["fieldfare-agent.sysusers.conf"]
    assert units.differing(wanted) == ()
    # Then it goes back to what was there, and what was not there, however often
    assert [units.restore(), units.restore()] == [True, True]
    assert contents(machine) == before
    units.forget()
    assert units.restore() is False
    assert contents(machine) == before


def test_a_version_without_a_word_of_its_files_changes_none(tmp_path: Path, machine: Path) -> None:
    units = UnitFiles(tmp_path / "opt", machine)
    made = version(tmp_path, "0")
    next(made.rglob("*.sysusers.conf")).unlink()
    assert units.of_version(made, SEAT) == ()


def test_what_an_upgrade_before_kept_is_not_put_back_by_one_that_changes_nothing(tmp_path: Path, machine: Path) -> None:
    units = UnitFiles(tmp_path / "opt", machine)
    changed = units.differing(units.of_version(version(tmp_path, "2", "# another\n"), SEAT))
    units.keep(changed)
    list(units.renew(changed))
    units.keep(())
    assert units.restore() is False
    assert contents(machine)[UNIT].endswith("# another\n")
