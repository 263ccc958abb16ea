"""What a proof says of a release and its platform, and what people must hear of it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from agent.core.engines import engine_key, progress, progress_text
from agent.core.platform import Platform
from agent.core.proof import Proof, Severity, worth_telling
from contracts.agent_config import RuntimeSection
from tests.sim.releases import make_release

OLD = Platform(facts={"kernel": "6.1", "system": "12.4", "edgetpu": "libedgetpu.so.1.0 (1 bytes)"})
NEW = Platform(facts={"kernel": "6.6", "system": "12.4", "tensorrt": "10"})


def proof(platform: Platform = OLD, *, provider: str = "EdgeTPU", reason: str = "") -> Proof:
    return Proof(
        platform=platform,
        passed=not reason,
        runtime="litert 2",
        provider=provider,
        preferred_provider="EdgeTPU",
        samples=4,
        error=0.0,
        reason=reason,
        at=datetime(2026, 11, 21, tzinfo=timezone.utc),
    )


def test_what_changed_is_told_by_name() -> None:
    assert NEW.changes_since(OLD) == "edgetpu libedgetpu.so.1.0 (1 bytes) -> none, kernel 6.1 -> 6.6, tensorrt none -> 10"
    assert OLD.changes_since(OLD) == ""


@pytest.mark.parametrize(
    ("before", "now", "news"),
    [
        (None, proof(), None),
        (proof(), proof(), None),
        # A first proof that fails ends the release's update, which is told there.
        (None, proof(reason="wrong"), None),
        (proof(reason="wrong"), proof(reason="wrong"), None),
        (proof(), proof(reason="value 3"), ("error", "release 7 fails its golden set: value 3")),
        (proof(), proof(NEW, reason="value 3"), ("error", f"release 7 fails its golden set since {NEW.changes_since(OLD)}: value 3")),
        (proof(reason="wrong"), proof(), ("info", "release 7 was proved again")),
        (proof(), proof(NEW), ("info", f"release 7 was proved again since {NEW.changes_since(OLD)}")),
        (None, proof(provider="CPU"), ("warning", "release 7 runs on CPU, expected EdgeTPU")),
        (proof(provider="CPU"), proof(provider="CPU"), None),
    ],
)
def test_people_hear_of_alarms_and_of_changes_once(before: Proof | None, now: Proof, news: tuple[Severity, str] | None) -> None:
    assert worth_telling(7, before, now) == news


def test_an_engine_is_bound_to_the_model_the_way_it_is_built_and_the_gpus_software() -> None:
    manifest, runtime = make_release(1, targets=("jetson-orin",)).manifest, RuntimeSection()
    keys = {
        engine_key(manifest, "jetson-orin", runtime, OLD),
        engine_key(make_release(2, targets=("jetson-orin",)).manifest, "jetson-orin", runtime, OLD),
        engine_key(manifest, "jetson-orin", RuntimeSection(engine_effort=5), OLD),
        engine_key(manifest, "jetson-orin", RuntimeSection(engine_workspace_bytes=1 << 22), OLD),
        *(engine_key(manifest, "jetson-orin", runtime, Platform(facts={name: "1"})) for name in ("gpu", "l4t", "cuda", "tensorrt", "onnx")),
    }
    assert len(keys) == 9
    # What a build may take does not change what it makes, nor does a kernel
    same = RuntimeSection(engine_build_s=7, engine_cache_bytes=1 << 30)
    assert engine_key(manifest, "jetson-orin", same, Platform(facts={"kernel": "7"})) == engine_key(manifest, "jetson-orin", runtime, OLD)


def test_a_build_is_measured_against_an_earlier_one_and_never_done_before_its_end() -> None:
    assert (progress(30, 120), progress(500, 120), progress(60, None)) == (0.25, 0.99, 0.1)
    assert progress_text(30, 120) == "building the engine for 30 s; the build before took 120 s"
