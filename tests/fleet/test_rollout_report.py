"""How a split's outcome reaches people: through the row it is kept in, the API's view, and the terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Literal, get_args

import pytest
from rich.console import Console

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.cli.rollout_text import drawn
from fleet.core.gates.evidence import Evidence, Metric, Sums
from fleet.core.gates.verdict import GatePolicy
from fleet.core.rollout.model import Member, Rollout
from fleet.core.rollout.plan import Plan, Strategy
from fleet.core.rollout.step import News, step
from fleet.plans import IN_SHADOW, METRICS, SERVING, plan_of
from fleet.requests.rollouts import GateName, NewRollout
from fleet.store.rollout_rows import VERDICT
from fleet.store.rollout_views import summarised
from fleet.store.rollouts import Outline
from fleet.testimony import SOURCES
from fleet.views.rollouts import RolloutView, WaveView

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
NEW, OLD = (ReleaseRef(model="digits", release=number, manifest_sha256=f"{number}" * 64) for number in (2, 1))


def followed(strategy: Strategy) -> Rollout:
    """Return a rollout over which evidence came: as many errors on either side, but 4 degrees more on one."""
    members = [Member(f"pi-{number}", Phase.COMMITTED, OLD, NEW if number < 10 else OLD, wave=0, outcome_at=NOW) for number in range(20)]
    plan = Plan(strategy, gate=GatePolicy({Metric.ERRORS: 0.01}), hold_s=3600)
    rollout = Rollout(1, NEW, "all", plan, "anna", NOW, {member.device: member for member in members})
    errors = [Sums(20 + number % 3, 1000) for number in range(10)]
    warm, cool = ([Sums(degrees * 60 + number % 4, 60) for number in range(10)] for degrees in (54, 50))
    evidence = Evidence({Metric.ERRORS: errors, Metric.TEMPERATURE: warm}, {Metric.ERRORS: errors, Metric.TEMPERATURE: cool})
    return step(rollout, News(evidence=evidence), NOW + timedelta(minutes=5))


def test_a_split_tells_how_its_halves_differ_in_metrics_with_a_limit_and_without() -> None:
    # Given the verdict on a split, kept as text and read again
    rollout = followed(Strategy.SPLIT)
    assert rollout.verdict is not None
    kept = replace(rollout, verdict=VERDICT.validate_json(VERDICT.dump_json(rollout.verdict)))
    # When the API tells it
    gate = summarised(Outline(kept, ())).gate
    # Then the limited metric has its limit, and both have a difference with an interval
    assert gate is not None
    [judged] = gate.metrics
    assert (judged.metric, judged.limit, judged.unit, judged.devices) == ("errors", 0.01, "failed share of requests", 10)
    assert 0 <= judged.toward_stop < judged.toward_pass <= 1
    errors, temperature = gate.report
    assert (errors.metric, errors.canary_devices, errors.control_devices) == ("errors", 10, 10)
    assert errors.low < 0 < errors.high
    assert (temperature.metric, round(temperature.difference, 1)) == ("temperature", 4.0)
    assert 3 < temperature.low < 4 < temperature.high < 5
    assert temperature.probability_higher > 0.999


def test_the_terminal_shows_each_metric_with_its_difference_interval_and_probability() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(drawn(RolloutView(**dict(summarised(Outline(followed(Strategy.SPLIT), ()))))))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()

    [title] = [line for line in lines if line.startswith("METRIC")]
    assert title.split()[:4] == ["METRIC", "RELEASE", "RIVAL", "DIFFERENCE"]
    [row] = [line for line in lines if line.startswith("temperature")]
    assert row.split()[1:4] == ["54.02", "50.02", "+4"]
    assert "100.0%" in row
    assert "10 and 10" in row
    assert row.rstrip().endswith("degrees Celsius")


def test_a_verdict_that_an_older_server_kept_is_read() -> None:
    metric = '{"metric":"errors","decision":"wait","canary":0.1,"control":null,"probability_worse":0.5,"reason":"so far"}'
    kept = f'{{"decision":"wait","reason":"so far","metrics":[{metric}]}}'

    verdict = VERDICT.validate_json(kept)

    assert (verdict.report, verdict.metrics[0].limit, verdict.metrics[0].toward_stop) == ((), None, 0)


@pytest.mark.parametrize("name", get_args(GateName))
def test_every_limit_that_may_be_asked_for_is_a_metric_with_a_source(name: GateName) -> None:
    strategy: Literal["canary", "shadow"] = "canary" if name in SERVING else "shadow"
    plan = plan_of(NewRollout(model="digits", query="all", strategy=strategy, gate={name: 1.5 if name == "p95" else 0.5}))

    assert plan.gate is not None
    [metric] = plan.gate.limits
    assert metric is METRICS[name]
    # What a shadow tells comes with the shadow.
    assert name in IN_SHADOW or metric in SOURCES


def test_the_terminal_tells_waves_that_are_watched_in_shadow_and_never_opened() -> None:
    # Given a rollout with one wave that is watched, one in shadow, and one that did not open
    watched = WaveView(wave=1, size="10%", devices=20, offered=20, settled=20, is_open=True, committed=20)
    shadow = WaveView(wave=2, size="50%", devices=80, offered=80, settled=2, is_open=True, lost=2, in_shadow=70)
    shut = WaveView(wave=3, size="100%", devices=100, offered=0, settled=100, is_open=False)
    summary = summarised(Outline(followed(Strategy.SHADOW), ()))
    view = RolloutView.model_validate(
        {**summary.model_dump(), "state": "running", "ended_at": None, "wave": 1, "waves": (watched, shadow, shut)}
    )

    def lines(shown: RolloutView) -> list[str]:
        out = io.StringIO()
        Console(file=out, width=200).print(drawn(shown))
        return [" ".join(line.split()) for line in out.getvalue().splitlines()]

    assert "1 10% 20 20 20 being watched" in lines(view)
    assert "2 50% 80 80 2 70 in shadow" in lines(view)
    # Then what was withdrawn with a wave that never opened is not told as done
    ended = view.model_copy(update={"state": "aborted", "ended_at": NOW})
    assert {"1 10% 20 20 20 done", "3 100% 100 0 0 never opened"} <= set(lines(ended))
