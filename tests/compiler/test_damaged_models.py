"""Any bytes may be given as a model: what is not one is refused in one line, by name, and never by a traceback."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.errors import ModelError
from compiler.importers.tflite import import_flat
from compiler.inspect.facts import examined
from compiler.isolation import run_isolated
from tests.compiler.flat_models import Flat
from tests.compiler.material import DIGITS, run
from tests.shared_data import FOLDER

# Where a bit is flipped, as a share of the file: the ends hold the structure, the middle the weights.
FLIPS = st.lists(st.tuples(st.one_of(st.floats(0, 1), st.floats(0.8, 1), st.floats(0, 0.05)), st.integers(0, 7)), min_size=1, max_size=12)
SLOW = settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck))
FILES = 16  # are examined in one process, which takes a second to start


@functools.cache
def flat_file() -> bytes:
    """Return a published file where there is one, for it has more in it than ours."""
    published = FOLDER / "kws01" / "dscnn_float.tflite"
    return published.read_bytes() if published.is_file() else small_flat_file()


def small_flat_file() -> bytes:
    flat = Flat()
    image, result = flat.value("image", (1, 4, 4, 2)), flat.value("result", (1, 32))
    flat.operate("RESHAPE", [image], [result], "ReshapeOptions", newShape=[1, 32])
    with tempfile.TemporaryDirectory() as folder:
        return flat.write(Path(folder) / "small.tflite", [image], [result]).read_bytes()


def flipped(raw: bytes, flips: list[tuple[float, int]]) -> bytes:
    damaged = bytearray(raw)
    for share, bit in flips:
        damaged[min(int(share * len(raw)), len(raw) - 1)] ^= 1 << bit
    return bytes(damaged)


def complaint_of(task: Callable[[], object]) -> str | None:
    """Return the refusal of a task, None for one that is done; any other exception is a defect, and ends the test."""
    try:
        task()
    except ModelError as error:
        return str(error)
    return None


def imported_or_refused(raw: bytes) -> None:
    complaint = complaint_of(lambda: import_flat(raw, "model.tflite", {}))
    assert complaint is None or complaint.startswith("model.tflite: ")


def examine_all(request: dict[str, str]) -> bytes:
    """Be the process that examines every file of a folder, as `inspect` does; return the complaints."""
    files = sorted(Path(request["folder"]).iterdir())
    tasks = [functools.partial(examined, {"source": str(file), "shapes": {}}) for file in files]
    return json.dumps([complaint_of(task) for task in tasks]).encode()


def complaints_about(contents: list[bytes]) -> list[str | None]:
    with tempfile.TemporaryDirectory() as folder:
        for place, content in enumerate(contents):
            (Path(folder) / f"{place:03}.onnx").write_bytes(content)
        answer = run_isolated("tests.compiler.test_damaged_models:examine_all", {"folder": folder}, folder, 120.0)
        return [complaint and complaint.removeprefix(folder) for complaint in json.loads(answer)]


@given(st.binary(max_size=400).map(lambda tail: b"\x1c\0\0\0TFL3" + tail) | st.binary(max_size=64))
@settings(deadline=None, max_examples=300)
def test_any_bytes_as_a_flat_file_are_refused_by_name(raw: bytes) -> None:
    with pytest.raises(ModelError, match=r"^model\.tflite: "):
        import_flat(raw, "model.tflite", {})


@given(FLIPS)
@settings(deadline=None, max_examples=150)
def test_a_flat_file_with_flipped_bits_is_imported_or_refused_by_name(flips: list[tuple[float, int]]) -> None:
    imported_or_refused(flipped(flat_file(), flips))


@given(st.floats(0, 1, exclude_max=True))
@settings(deadline=None, max_examples=60)
def test_a_flat_file_cut_short_is_imported_or_refused_by_name(share: float) -> None:
    imported_or_refused(flat_file()[: int(len(flat_file()) * share)])


@given(st.lists(st.binary(max_size=300), min_size=FILES, max_size=FILES))
@SLOW
def test_any_bytes_as_an_onnx_file_are_refused_by_name(contents: list[bytes]) -> None:
    for place, complaint in enumerate(complaints_about(contents)):
        assert complaint is not None
        assert complaint.startswith(f"/{place:03}.onnx: ")


@given(st.lists(FLIPS, min_size=FILES, max_size=FILES))
@SLOW
def test_an_onnx_file_with_flipped_bits_is_examined_or_refused_by_name(many: list[list[tuple[float, int]]]) -> None:
    whole = (DIGITS / "digits.onnx").read_bytes()
    for place, complaint in enumerate(complaints_about([flipped(whole, flips) for flips in many])):
        assert complaint is None or complaint.startswith(f"/{place:03}.onnx: ")


@pytest.mark.parametrize("command", ["inspect", "bench"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"\x1c\0\0\0TFL3" + bytes(60), bytes(1000)])
def test_what_is_no_model_is_one_line_and_status_2(
    command: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("model.onnx", "model.tflite"):
        (tmp_path / name).write_bytes(content)
        status, printed, complaint = run([command, str(tmp_path / name)], capsys)
        assert (status, printed) == (2, "")
        assert complaint.startswith(f"error: {tmp_path / name}: ")
        assert complaint.count("\n") == 1


def test_damage_that_crashes_a_runtime_is_still_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(6):
        flips = [((seed * 7919 + place * 104729) % 100003 / 100003 * 0.2 + 0.8, place % 8) for place in range(40)]
        (tmp_path / "model.tflite").write_bytes(flipped(flat_file(), flips))
        status, _, complaint = run(["bench", str(tmp_path / "model.tflite"), "--threads", "1", "--runs", "1"], capsys)
        assert status in {0, 2}
        assert complaint.count("\n") == (status == 2)
