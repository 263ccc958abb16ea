"""What a device is brought back to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timezone

import pytest

from contracts.lifecycle import Phase
from contracts.messages import ModelReport, Outcome, ReleaseRef
from fleet.core.inventory import Inventory
from fleet.core.rollout.enlist import recruit
from tests.sim.rollout_world import NEW, OLD, START

NEWER = ReleaseRef(model="digits", release=3, manifest_sha256="3" * 64)


def ended(release: ReleaseRef, result: Phase, current: ReleaseRef | None) -> ModelReport:
    return ModelReport(phase=result, current=current, last=Outcome(release=release, result=result, reason="", at=START))


@pytest.mark.parametrize(
    ("report", "wanted", "baseline"),
    [
        # It is still on its way back from a release that was stopped
        (ended(NEW, Phase.COMMITTED, NEW), {"pi-1": OLD}, OLD),
        (ended(NEW, Phase.COMMITTED, NEW), {"pi-1": None}, None),
        # It was away in the rollout before and has yet to hear of it
        (ended(OLD, Phase.COMMITTED, OLD), {"pi-1": NEW}, NEW),
        # It left what was wanted by itself, and will not go there again
        (ended(NEW, Phase.ROLLED_BACK, OLD), {"pi-1": NEW}, OLD),
        (ended(NEW, Phase.REJECTED, None), {"pi-1": NEW}, None),
        # It lost another one, long ago
        (ended(NEW, Phase.ROLLED_BACK, OLD), {"pi-1": NEWER}, NEWER),
        # Nobody ever told it anything
        (ended(OLD, Phase.COMMITTED, OLD), {"pi-2": NEW}, OLD),
        (None, {}, None),
    ],
)
def test_it_is_what_was_wanted_of_it_unless_it_never_comes_to_that(
    report: ModelReport | None, wanted: Mapping[str, ReleaseRef | None], baseline: ReleaseRef | None
) -> None:
    device = Inventory("pi-1", "rpi5", {}, ("cpu",), models={"digits": report} if report else {})

    assert recruit(device, NEWER, "digits", timezone.utc, wanted).baseline == baseline
