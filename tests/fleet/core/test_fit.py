"""Whether a release fits a device is foreseen by the laws that the agent goes by, and every exclusion has its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from contracts.lifecycle import Phase
from contracts.messages import ModelReport, ReleaseRef
from contracts.room import RESERVE_BYTES, WORKER_BYTES
from fleet.core.fit import Fit, Misfit, Need, Package, fit_of
from fleet.core.inventory import Inventory, Vitals
from fleet.core.targeting.groups import FixedGroup, Group, SavedQuery, resolve
from fleet.core.targeting.parse import parse_query
from fleet.core.targeting.plan import plan_targets
from fleet.errors.targeting import UnknownGroupError

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
OLD, NEW = (ReleaseRef(model="digits", release=number, manifest_sha256=str(number) * 64) for number in (1, 2))
SHARED, OWN, HEAD = "a" * 64, "b" * 64, "c" * 64
PACKAGE = Package(
    NEW,
    {
        "rpi5": Need("litert", {SHARED: 4_000_000, OWN: 1_000_000}, needs_edge_tpu=False),
        "coral": Need("litert", {SHARED: 4_000_000}, needs_edge_tpu=True),
        "cpu": Need("onnx", {HEAD: 8_000_000}, needs_edge_tpu=False),
    },
)
BEFORE = Package(OLD, {"rpi5": Need("litert", {SHARED: 4_000_000}, needs_edge_tpu=False)})
ROOM = Vitals(1 << 30, 4 << 30, 1 << 30, 8 << 30, None, lacks_edge_tpu=False)
PI = Inventory("pi-1", "rpi5", {}, ("rpi5", "cpu"), runtimes={"litert": "1.2", "onnx": "1.18"}, vitals=ROOM)


def obstacle_of(device: Inventory) -> str:
    found = fit_of(PACKAGE, device, {})
    assert isinstance(found, Misfit)
    return f"{found.obstacle}: {found.reason}"


def test_a_device_takes_its_own_artifact_and_else_the_one_for_any_processor() -> None:
    assert fit_of(PACKAGE, PI, {}) == Fit("rpi5", 5_000_000, has_base=False)
    assert fit_of(PACKAGE, replace(PI, runtimes={"onnx": "1.18"}), {}) == Fit("cpu", 8_000_000, has_base=False)
    assert fit_of(PACKAGE, replace(PI, targets=("rpi4", "cpu")), {}) == Fit("cpu", 8_000_000, has_base=False)


def test_what_was_never_reported_excludes_nobody_and_is_named() -> None:
    unheard = Inventory("pi-2", "rpi5", {}, ("rpi5", "cpu"))

    assert fit_of(PACKAGE, unheard, {}) == Fit("rpi5", 5_000_000, has_base=False, unknown=("runtime", "disk", "memory"))


@pytest.mark.parametrize(
    ("device", "obstacle"),
    [
        (replace(PI, targets=("jetson-orin",)), "target: it runs jetson-orin, and the release was compiled for coral, cpu, rpi5"),
        (replace(PI, runtimes={}), "runtime: expected runtime litert or onnx, found none"),
        (replace(PI, targets=("rpi5",), runtimes={"onnx": "1"}), "runtime: expected runtime litert, found onnx"),
        (
            replace(PI, targets=("coral",), vitals=replace(ROOM, lacks_edge_tpu=True)),
            "accelerator: accelerator: expected an Edge TPU, found that its worker runs without one",
        ),
        (
            replace(PI, vitals=replace(ROOM, free_disk_bytes=RESERVE_BYTES + 4_999_999)),
            f"disk: disk: expected {RESERVE_BYTES + 5_000_000} bytes free (release and reserve), found {RESERVE_BYTES + 4_999_999}",
        ),
        (
            replace(PI, vitals=replace(ROOM, free_memory_bytes=WORKER_BYTES + 4_999_999)),
            f"memory: memory: expected {WORKER_BYTES + 5_000_000} bytes free (files and worker), found {WORKER_BYTES + 4_999_999}",
        ),
    ],
)
def test_a_device_that_a_release_does_not_fit_is_left_out_for_a_named_reason(device: Inventory, obstacle: str) -> None:
    assert obstacle_of(device) == obstacle


def test_files_that_a_device_holds_are_not_fetched_again_and_need_no_room() -> None:
    device = replace(
        PI,
        models={"digits": ModelReport(phase=Phase.COMMITTED, current=OLD)},
        vitals=replace(ROOM, free_disk_bytes=RESERVE_BYTES + 1_000_000),
    )

    assert obstacle_of(device).startswith("disk")
    assert fit_of(PACKAGE, device, {OLD.manifest_sha256: BEFORE}) == Fit("rpi5", 1_000_000, has_base=True)
    # The release itself is already there, whatever room there is.
    assert fit_of(PACKAGE, replace(device, models={"digits": ModelReport(phase=Phase.COMMITTED, current=NEW)}), {}) == Fit(
        "rpi5", 0, has_base=False
    )


def test_a_plan_shows_all_that_were_meant_and_nobody_else() -> None:
    fleet = [replace(PI, id="c"), replace(PI, id="a"), replace(PI, id="b", targets=("coral-x",)), replace(PI, id="d", hardware="rpi4")]

    plan = plan_targets(parse_query("hw = rpi5"), PACKAGE, fleet, NOW)

    assert [device.id for device in plan.devices] == ["a", "b", "c"]
    assert list(plan.chosen) == ["a", "c"]
    assert [misfit.obstacle for misfit in plan.excluded.values()] == ["target"]


def test_a_group_is_a_list_or_whoever_its_query_means() -> None:
    groups: dict[str, Group] = {"canaries": FixedGroup(frozenset({"a", "z"})), "lyon": SavedQuery(parse_query("label.site = lyon"))}
    fleet = [replace(PI, id=name, labels={"site": site}) for name, site in [("a", "lyon"), ("b", "lyon"), ("c", "oslo")]]

    def meant(query: str) -> str:
        plan = plan_targets(resolve(parse_query(query), groups), PACKAGE, fleet, NOW)
        return "".join(device.id for device in plan.devices)

    assert meant("group = canaries") == "a"
    assert meant("group = lyon and not group = canaries") == "b"
    assert meant("group != lyon") == "c"
    assert meant("group in (canaries, lyon)") == "ab"
    with pytest.raises(UnknownGroupError, match=r"did you mean lyon\?"):
        meant("group = lyons")
