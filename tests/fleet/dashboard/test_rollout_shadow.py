"""How a rollout's shadows read: the gate's agreement, the newest windows, and what nobody has told yet."""

from __future__ import annotations

from contracts.shadow import ShadowPart
from contracts.sketches import Sketch, bin_of
from fleet.dashboard.rollout_shadow import facts_of
from fleet.store.rollout_views import shadow_work
from fleet.views.rollouts import ShadowView

SHADOW = ShadowView(share=0.05, min_inputs=200, proven=1, devices=2, agreement=0.9941, max_cpu=0.5, max_temperature_c=75)


def part(scored: int) -> ShadowPart:
    return ShadowPart(
        manifest_sha256="1" * 64,
        compared=990,
        agreed=980,
        errors=10,
        dropped=5,
        paused_s=90,
        scored=scored,
        shift=-0.02 * scored,
        latencies=Sketch.of({bin_of(30): 99, bin_of(60): 1}),
        live_latencies=Sketch.of({bin_of(20): 100}),
    )


def test_what_devices_told_is_summed_up_with_its_units() -> None:
    work = shadow_work({"pi-1": part(10), "pi-2": part(30)})
    found = dict(facts_of(SHADOW.model_copy(update={"work": work}), 3))
    assert found["Agreement"].startswith("99.41 % of inputs")
    assert found["Newest agreement"] == "98 % of inputs, by the newest windows of 2 devices"
    assert found["Confidence"] == "−0.020 against the live release, on average"
    assert found["Latency, p95"].startswith("30") or found["Latency, p95"].startswith("29")
    assert ", live " in found["Latency, p95"]
    assert found["Compared"] == "1\u202f980 inputs, and 20 on which it failed"
    assert found["Dropped for lack of time"] == "10 of 2\u202f010 sampled inputs"
    assert found["Paused for its budgets"] == "3 min in all"
    assert found["In shadow now"] == "2 devices; 1 of 3 waves have passed"
    assert found["Pauses"] == "above 50 % of one core, and above 75 °C"


def test_what_nobody_told_is_not_made_up() -> None:
    found = dict(facts_of(SHADOW.model_copy(update={"agreement": None, "max_temperature_c": None}), 3))
    assert found["Agreement"] == "no device counts yet: each must tell of 200 inputs"
    assert found["Pauses"] == "above 50 % of one core, and while heat slows the device"
    assert "Latency, p95" not in found
    silent = shadow_work({"pi-1": part(0)})
    assert silent is not None
    assert silent.confidence_shift is None
    assert shadow_work({}) is None
