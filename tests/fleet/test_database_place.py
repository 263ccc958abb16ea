"""How a server is told where its database lies, and that nobody else learns its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import MissingFileError
from fleet.errors.store import DatabasePlaceError, StoreError
from fleet.store.database import Database
from fleet.store.place import PostgresUrl, find_place

SECRET = "hunter2hunter2"
URL = f"postgresql://anna:{SECRET}@db.example:5433/fleet?sslmode=verify-full"


def secret_file(folder: Path, mode: int) -> Path:
    file = folder / "database.url"
    file.write_text(URL + "\n")
    file.chmod(mode)
    return file


def test_without_a_word_the_database_is_the_folders_file() -> None:
    assert find_place(None, None) is None
    assert find_place(None, "") is None


def test_a_url_with_a_password_comes_from_the_environment_or_a_file_of_its_owner(tmp_path: Path) -> None:
    for place in (find_place(None, URL), find_place(str(secret_file(tmp_path, 0o600)), None)):
        assert place is not None
        assert place.url == URL.replace("postgresql://", "postgresql+psycopg://")
        assert place.shown == "postgresql://anna@db.example:5433/fleet"
        assert SECRET not in repr(place)


def test_the_option_wins_over_the_environment() -> None:
    found = find_place("postgresql://anna@here/fleet", URL)
    assert found is not None
    assert found.shown == "postgresql://anna@here/fleet"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (URL, "shows its password"),
        (f"postgresql://anna@db/fleet?password={SECRET}", "shows its password"),
        ("mysql://anna@db/fleet", "begins with mysql"),
        ("postgresql://anna@db", "without a database's name"),
        ("://", "no URL"),
    ],
)
def test_what_cannot_be_used_is_refused_without_being_repeated(option: str, said: str) -> None:
    with pytest.raises(DatabasePlaceError, match=said) as caught:
        find_place(option, None)
    assert SECRET not in str(caught.value)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabasePlaceError, match="chmod 600"):
        find_place(str(secret_file(tmp_path, 0o644)), None)
    with pytest.raises(MissingFileError):
        find_place(str(tmp_path / "nothing"), None)


def test_a_server_that_cannot_be_reached_is_one_clear_error_without_the_password(tmp_path: Path) -> None:
    place = PostgresUrl.parse(f"postgresql://anna:{SECRET}@/fleet?host={tmp_path}", "a test")

    with pytest.raises(StoreError, match="postgresql://anna@/fleet: expected a working database, found: ") as caught:
        Database(place)
    assert SECRET not in str(caught.value)
