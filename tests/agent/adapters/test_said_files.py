"""What the broker acknowledged is noted for the process after this one: bounded, by the clock of the machine, and never a fault."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.said_files import MAX_FILE_BYTES, SaidFiles
from agent.core.drawers import Letter
from agent.core.said import MAX_BYTES, Said
from contracts.messages import REPEAT_S


def letter(number: int, size: int = 10) -> Letter:
    return Letter("event", b'{"sequence": %d, "text": "%s"}' % (number, b"x" * size))


def boot(folder: Path, name: str = "first") -> Path:
    """Return where a machine tells of its start."""
    (folder / name).write_text(f"{name}\n")
    return folder / name


def said(folder: Path, start: str = "first", now_s: float = 0.0) -> Said:
    """Take up what the process before said."""
    return Said(SaidFiles(folder / "said", boot(folder, start)), now_s)


def take_all_again(talking: Said, now_s: float) -> None:
    """Say all that is owed."""
    while (owed := talking.first_owed()) is not None:
        talking.add(owed, now_s)


def test_the_next_process_knows_what_was_said_lately_and_forgets_it_in_time(tmp_path: Path) -> None:
    before = said(tmp_path)
    before.add(letter(1), 10.0)
    before.add(letter(2), 20.0)
    before.add(letter(3), 11.0 + REPEAT_S)

    # However long it then was without a link
    after = said(tmp_path, now_s=20.0 + 9 * REPEAT_S)

    assert after.letters == [letter(2), letter(3)]
    assert after.trouble == ""


def test_after_a_start_of_the_machine_ages_cannot_be_told_and_all_of_it_is_said_again(tmp_path: Path) -> None:
    before = said(tmp_path)
    before.add(letter(1), 5000.0)
    before.add(letter(2), 5001.0)

    after = said(tmp_path, "second", now_s=7.0)

    assert after.letters == [letter(1), letter(2)]
    take_all_again(after, 8.0)
    after.forget(9.0 + REPEAT_S)
    assert after.letters == []


def test_what_the_outbox_still_holds_of_it_is_not_sent_once_more(tmp_path: Path) -> None:
    said(tmp_path).add(letter(1), 1.0)

    after = said(tmp_path, now_s=2.0)

    assert [after.is_known_from_before(letter(number)) for number in (1, 2)] == [True, False]


def test_a_torn_line_and_a_spoilt_page_cost_only_themselves(tmp_path: Path) -> None:
    before = said(tmp_path)
    for number in range(3):
        before.add(letter(number), float(number))
    (page,) = (tmp_path / "said").iterdir()
    raw = page.read_bytes()
    page.write_bytes(raw[:-5])
    assert said(tmp_path, now_s=3.0).letters == [letter(0), letter(1)]
    page.write_bytes(b"\xff" + raw[1:])
    assert said(tmp_path, now_s=3.0).letters == []


def test_a_disk_that_takes_nothing_leaves_it_in_memory_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "said").write_bytes(b"in the way")
    talking = said(tmp_path)
    talking.add(letter(1), 1.0)
    assert talking.letters == [letter(1)]
    assert "said" in talking.trouble


def test_the_pages_stay_small_however_much_is_said(tmp_path: Path) -> None:
    talking = said(tmp_path)
    for number in range(400):
        talking.add(letter(number, 20_000), number / 100)
    sizes = [page.stat().st_size for page in (tmp_path / "said").iterdir()]
    assert len(sizes) == 2
    assert max(sizes) < MAX_FILE_BYTES
    # And yet hold all that memory holds
    assert said(tmp_path, now_s=4.0).letters == talking.letters
    assert sum(len(each.payload) for each in talking.letters) <= MAX_BYTES


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.5, 40.0, REPEAT_S + 1]), st.booleans()), max_size=20))
def test_whatever_is_said_and_whenever_the_process_ends_the_next_one_knows_the_same(
    steps: list[tuple[int, float, bool]], tmp_path_factory: object
) -> None:
    folder = tmp_path_factory.mktemp("said")  # type: ignore[attr-defined]  # one for each example
    now_s, talking = 100.0, said(folder, now_s=100.0)
    for number, pause_s, ends in steps:
        now_s += pause_s
        # The same letter is said again as the very same object.
        known = next((each for each in talking.letters if each == letter(number)), letter(number))
        talking.add(known, now_s)
        if ends:
            expected = talking.letters
            talking = said(folder, now_s=now_s)
            assert talking.letters == expected
            take_all_again(talking, now_s)
