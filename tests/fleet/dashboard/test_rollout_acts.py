"""What may be done to a rollout, why not, and what each question says: the pages agree with the rules that decide."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import product

import pytest

from contracts.codec import sha256_of
from contracts.errors import FieldfareError
from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.roles import Caller, Role
from fleet.core.rollout import acts
from fleet.core.rollout.enlist import arranged
from fleet.core.rollout.model import Member, Rollout, State
from fleet.core.rollout.plan import EVERYBODY, Plan, Size, Strategy
from fleet.dashboard.rollout_acts import ACTS
from fleet.store.rollout_views import summarised
from fleet.store.rollouts import Crowd, Outline
from fleet.views.rollouts import RolloutView

NOW = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
REF = ReleaseRef(model="digits", release=2, manifest_sha256=sha256_of(b"digits 2"))
OLA, ADA = Caller("ola", Role.OPERATOR), Caller("ada", Role.OPERATOR)
WAVES = Plan(Strategy.PHASED, (Size(25, is_percent=True), EVERYBODY))


def rollout(phases: Counter[Phase], state: State = State.RUNNING, *, has_ended: bool = False, wave: int = 0) -> Rollout:
    """A rollout that ola started; devices have the phases in the order in which they are reached."""
    named = [f"pi-{number:02d}" for number in range(phases.total())]
    members = arranged([Member(name, Phase.PLANNED, None, REF) for name in named], WAVES, "seed")
    found = {
        name: replace(member, phase=phase, outcome_at=NOW if phase in (Phase.COMMITTED, Phase.FAILED) else None)
        for (name, member), phase in zip(members.items(), phases.elements(), strict=True)
    }
    return Rollout(7, REF, "all", WAVES, "ola", NOW, found, state, wave=wave, ended_at=NOW + timedelta(hours=1) if has_ended else None)


def seen(found: Rollout) -> RolloutView:
    crowds = [Crowd(one.wave, one.phase, one.is_settled, 1, int(one.phase is not Phase.PLANNED), 0) for one in found.members.values()]
    return RolloutView(**dict(summarised(Outline(found, tuple(crowds)))))


STAGES = [
    Counter({Phase.PLANNED: 8}),
    Counter({Phase.COMMITTED: 2, Phase.PLANNED: 6}),
    Counter({Phase.COMMITTED: 1, Phase.STAGING: 1, Phase.PLANNED: 6}),
    Counter({Phase.COMMITTED: 6, Phase.FAILED: 2}),
]


@pytest.mark.parametrize("act", sorted(acts.ACTS))
def test_a_button_may_be_used_exactly_where_the_order_would_be_taken(act: str) -> None:
    answers = set()
    for stage, state, has_ended, wave, caller in product(STAGES, State, (False, True), (0, 1), (OLA, ADA)):
        found = rollout(stage, state, has_ended=has_ended, wave=wave)
        try:
            acts.ACTS[act](found, acts.Order(caller.name, NOW))
            is_taken = True
        except FieldfareError:
            is_taken = False
        obstacle = ACTS[act].obstacle(seen(found), caller)
        assert (obstacle == "") is is_taken, (obstacle, stage, state, has_ended, wave, caller)
        answers.add(is_taken)
    assert answers == {True, False}


def test_nobody_acts_who_only_looks_and_everybody_is_told_the_role_it_takes() -> None:
    view = seen(rollout(STAGES[1]))
    assert ACTS["pause"].obstacle(view, Caller("vera", Role.VIEWER)) == "This takes the role operator; yours is viewer."
    assert ACTS["pause"].obstacle(view, None) == "Sign in again."


def test_what_follows_a_rollout_waits_for_its_end_and_for_somebody_to_follow() -> None:
    going, ended = seen(rollout(STAGES[3])), seen(rollout(STAGES[3], State.SUCCEEDED, has_ended=True))
    assert ACTS["rollback"].obstacle(going, OLA).startswith("Only once it has ended")
    assert [ACTS[name].obstacle(ended, OLA) for name in ("rollback", "retry")] == ["", ""]
    good = seen(rollout(Counter({Phase.COMMITTED: 3}), State.SUCCEEDED, has_ended=True))
    assert ACTS["retry"].obstacle(good, OLA) == "No device was lost, so that there is nobody to offer it to again."


@pytest.mark.parametrize(
    ("act", "stage", "expected"),
    [
        ("pause", STAGES[2], ("6 devices that were offered nothing yet", "on their way go on (1 device)", "keep it (1 device)")),
        ("abort", STAGES[2], ("withdrawn from 6 devices", "finish by themselves (1 device)")),
        ("promote", STAGES[1], ("Wave 2 of 2 opens at once: 6 devices more are offered",)),
        ("approve", STAGES[0], ("2 devices of the first wave are offered", "8 devices are meant in all")),
        ("rollback", STAGES[3], ("6 devices that have digits 2 back to what each ran before",)),
        ("retry", STAGES[3], ("2 devices that were lost (2 failed)",)),
    ],
)
def test_a_question_says_what_happens_to_how_many(act: str, stage: Counter[Phase], expected: tuple[str, ...]) -> None:
    ask = ACTS[act].question(seen(rollout(stage)))
    assert [part for part in expected if part not in " ".join(ask.lines)] == []
    assert ask.title == f"{ACTS[act].text} rollout 7 of digits 2?"
