"""When a device is too warm for a shadow."""

from __future__ import annotations

import pytest

from agent.core.probation import Heat
from agent.core.shadowing import COOLED_C, is_too_hot
from contracts.shadow import ShadowTerms

TERMS = ShadowTerms(share=0.1, max_temperature_c=70.0)


@pytest.mark.parametrize(
    ("heat", "is_resting", "is_hot"),
    [
        (Heat(70.0, None), False, False),
        (Heat(70.1, None), False, True),
        (Heat(70.0, None), True, True),
        (Heat(70.0 - COOLED_C, None), True, False),
        (Heat(20.0, True), False, True),  # the kernel slows the processor down
        (Heat(None, None), False, False),
    ],
)
def test_a_shadow_rests_above_its_bound_until_the_device_has_cooled(heat: Heat, is_resting: bool, is_hot: bool) -> None:
    assert is_too_hot(heat, TERMS, is_resting=is_resting) is is_hot


def test_without_a_bound_only_a_slowed_processor_rests_a_shadow() -> None:
    terms = ShadowTerms(share=0.1)

    assert not is_too_hot(Heat(99.0, False), terms, is_resting=False)
    assert is_too_hot(Heat(50.0, True), terms, is_resting=False)
