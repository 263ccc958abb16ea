"""The small decisions of the agent, each a pure function."""

from __future__ import annotations

from agent.core.admission import Fit, mismatch
from agent.core.backoff import delay_s
from contracts.room import RESERVE_BYTES, disk_shortfall
from tests.sim.releases import make_release


def test_waits_double_up_to_the_longest_and_chance_takes_up_to_half_away() -> None:
    full = [delay_s(failures, 1.0, first_s=1, longest_s=10) for failures in (1, 2, 3, 4, 5, 1000)]
    assert full == [1, 2, 4, 8, 10, 10]
    assert delay_s(3, 0.0, first_s=1, longest_s=10) == 2


def test_a_disk_without_room_for_release_and_reserve_is_refused() -> None:
    assert disk_shortfall(1000, RESERVE_BYTES + 1000) is None
    assert "disk" in (disk_shortfall(1000, RESERVE_BYTES + 999) or "")


def test_a_manifest_must_be_the_one_wished_for_and_run_here() -> None:
    release = make_release(1, targets=("rpi4",))
    onnx = frozenset({"onnx"})
    assert mismatch(release.manifest, release.ref, Fit(("rpi4", "cpu"), onnx)) is None
    assert "wrong hardware" in (mismatch(release.manifest, release.ref, Fit(("coral", "cpu"), onnx)) or "")
    assert "runtime onnx" in (mismatch(release.manifest, release.ref, Fit(("rpi4",), frozenset({"litert"}))) or "")
    other = release.ref.model_copy(update={"release": 2})
    assert "release 2" in (mismatch(release.manifest, other, Fit(("rpi4",), onnx)) or "")
