"""What a filled-in form asks for, and what it is told when it cannot be read."""

from __future__ import annotations

import pytest

from contracts.codec import sha256_of
from contracts.errors import InvalidDocumentError
from contracts.messages import ReleaseRef
from contracts.shadow import ShadowTerms
from fleet.dashboard.rollout_request import METRICS, STRATEGIES, artifacts, headline, is_asked, obstacles, question, request_of
from fleet.plans import SHADOW_LIFE_S, plan_of
from fleet.views.targeting import ArtifactPreview, ObstaclePreview, RolloutPreview

EMPTY: dict[str, str | bool] = {"release": "digits 3", "query": "", "strategy": "all-at-once", "waves": "", "zone": "", "rate": ""}


def test_empty_fields_leave_the_choice_to_the_strategy() -> None:
    new = request_of(EMPTY)
    assert new.model_dump(exclude_unset=True, exclude_none=True)["query"] == "all"
    assert (new.model, new.release, new.waves, new.gate, new.threshold, new.soak_s, new.take_back) == (
        "digits",
        3,
        None,
        None,
        None,
        None,
        None,
    )


def test_everything_that_is_typed_is_asked_for() -> None:
    said = EMPTY | {
        "query": "hw = rpi5",
        "strategy": "canary",
        "waves": "5%, 100%",
        "limit-errors": "0.01",
        "soak": "15m",
        "window": "22:00-06:00",
        "rate": "50",
        "threshold": "3",
        "approval": True,
    }
    new = request_of(said)
    assert (new.query, new.strategy, new.waves, new.gate) == ("hw = rpi5", "canary", ("5%", "100%"), {"errors": 0.01})
    assert (new.soak_s, new.window, new.rate_per_min, new.threshold, new.approval) == (900, "22:00-06:00", 50, "3", True)


def test_a_shadow_is_asked_for_its_budgets_and_not_for_what_was_typed_for_another_strategy() -> None:
    typed = EMPTY | {
        "share": "5%",
        "min_inputs": "500",
        "max_cpu": "0.25",
        "max_temperature_c": "75",
        "limit-agreement": "0.98",
        "hold": "1d",
    }
    new = request_of(typed | {"strategy": "shadow", "limit-drift": "0.2"})
    assert (new.share, new.min_inputs, new.max_cpu, new.max_temperature_c) == (0.05, 500, 0.25, 75)
    assert (new.gate, new.hold_s) == ({"agreement": 0.98}, None)
    assert plan_of(new).shadow == ShadowTerms(share=0.05, max_cpu_share=0.25, max_temperature_c=75, life_s=SHADOW_LIFE_S)
    other = request_of(typed | {"strategy": "phased"})
    assert (other.share, other.min_inputs, other.gate) == (None, None, None)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_field_is_shown_just_where_its_strategy_takes_it(strategy: str) -> None:
    samples = {"share": "5%", "max_cpu": "0.5", "hold": "1d", "limit-drift": "0.2", "limit-agreement": "0.9", "soak": "5m"}
    for field, sample in samples.items():
        new = request_of(EMPTY | {"strategy": strategy, "rival": "digits 2", field: sample})
        plan_of(new)  # raises for what does not fit together
        assert (new.model_dump(exclude_defaults=True, exclude={"rival", "strategy"}).keys() > {"model", "release", "query"}) == is_asked(
            field, strategy
        )


@pytest.mark.parametrize(
    ("field", "text", "named"),
    [
        ("share", "half", "share"),
        ("limit-errors", "few", "errors"),
        ("soak", "long", "soak"),
        ("soak", "5 weeks", "soak"),
        ("rate", "x", "rate_per_min"),
        ("window", "9-5", "window"),
    ],
)
def test_what_cannot_be_read_is_named(field: str, text: str, named: str) -> None:
    with pytest.raises(InvalidDocumentError, match=named):
        request_of(EMPTY | {"strategy": "shadow" if field == "share" else "canary", field: text})


def test_strategies_and_metrics_are_those_of_the_request_itself() -> None:
    assert {"all-at-once", "phased", "canary", "split"} <= set(STRATEGIES)
    assert {"errors", "p95", "temperature"} <= set(METRICS)


def test_a_preview_says_who_takes_what_and_why_others_do_not() -> None:
    ref = ReleaseRef(model="digits", release=3, manifest_sha256=sha256_of(b"3"))
    taken = ArtifactPreview(
        target="rpi5", devices=2, download_bytes=3_000_000, largest_bytes=2_000_000, has_base=0, unchecked=0, such_as=("pi-1", "pi-2")
    )
    kept_out = ObstaclePreview(obstacle="disk", devices=5, reason="needs 3 MB", such_as=("tpu-0", "tpu-1", "tpu-2"))
    preview = RolloutPreview(release=ref, query="all", chosen=2, excluded=5, artifacts=(taken,), obstacles=(kept_out,))
    assert headline(preview) == "2 devices would get it (3.0 MB to download); 5 devices would not."
    assert artifacts(preview) == [("rpi5", 2, "2.0 MB")]
    assert obstacles(preview) == [("disk: needs 3 MB", 5, "tpu-0, tpu-1, tpu-2 …")]
    assert question(request_of(EMPTY), preview)[-1] == "It begins at once."
