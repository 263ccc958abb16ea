"""No wave ever exposes more than its share, whatever happens in whatever order, and every rollout ends."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from contracts.shadow import ShadowTerms
from fleet.core.gates.evidence import Metric
from fleet.core.gates.verdict import GatePolicy
from fleet.core.rollout.model import LOST, State
from fleet.core.rollout.plan import EVERYBODY, Plan, Size, Strategy, waves_of
from fleet.errors.rollouts import RolloutStateError
from tests.sim.rollout_world import NEW, World

DEVICES = st.integers(0, 30)
WAVES = st.sampled_from([(1, 10, 50), (10, 50), (20,), (5, 25, 60, 80), ()])


class AnyOrder(RuleBasedStateMachine):
    """One rollout over a fleet, to which everything happens."""

    @initialize(
        devices=st.integers(1, 31),
        percents=WAVES,
        threshold=st.sampled_from([None, Size(5, is_percent=True), Size(2, is_percent=False)]),
        has_gate=st.booleans(),
        rate=st.sampled_from([None, 1, 7]),
        takes_back=st.booleans(),
        bad=st.booleans(),
        in_shadow=st.booleans(),
    )
    def begin(
        self,
        devices: int,
        percents: tuple[int, ...],
        threshold: Size | None,
        has_gate: bool,
        rate: int | None,
        takes_back: bool,
        bad: bool,
        in_shadow: bool,
    ) -> None:
        waves = (*(Size(percent, is_percent=True) for percent in percents), EVERYBODY)
        self.plan = Plan(
            Strategy.SHADOW if in_shadow else Strategy.CANARY,
            waves,
            threshold,
            GatePolicy({Metric.DISAGREEMENT if in_shadow else Metric.ERRORS: 0.01}) if has_gate else None,
            soak_s=5,
            patience_s=30,
            deadline_s=60,
            contact_s=90,
            rate_per_min=rate,
            takes_back=takes_back,
            shadow=ShadowTerms(share=0.1) if in_shadow else None,
        )
        self.world = World(devices, self.plan, bad=bad)
        self.order = list(self.world.rollout.members)
        self.was_promoted = False

    def name(self, index: int) -> str:
        return self.order[index % len(self.order)]

    @rule(seconds=st.sampled_from([0.25, 5, 40, 100]), dies=st.sampled_from(["", "", "before", "after"]))
    def turn(self, seconds: float, dies: str) -> None:
        before = self.world.rollout
        self.world.turn(seconds, dies)
        self.check_opening(before.wave)

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule(index=DEVICES, result=st.sampled_from([Phase.COMMITTED] * 6 + [Phase.FAILED, Phase.ROLLED_BACK]), steps=st.integers(1, 5))
    def work(self, index: int, result: Phase, steps: int) -> None:
        self.world.follow(self.name(index))
        for _ in range(steps):
            self.world.work(self.name(index), result)

    @rule(index=DEVICES)
    def speak(self, index: int) -> None:
        self.world.speak(self.name(index))

    @rule()
    def everybody_goes_on(self) -> None:
        self.world.everybody()

    @rule(index=DEVICES, is_online=st.booleans())
    def link(self, index: int, is_online: bool) -> None:
        self.world.devices[self.name(index)].is_online = is_online
        self.world.speak(self.name(index))

    @rule(act=st.sampled_from(["pause", "resume", "resume", "abort", "promote"]))
    def order_given(self, act: str) -> None:
        try:
            self.world.order(act)
        except RolloutStateError:
            return
        self.was_promoted |= act == "promote"

    def check_opening(self, wave_before: int) -> None:
        """A wave is opened when nobody of those before it is waited for."""
        rollout = self.world.rollout
        for wave in range(wave_before + 1, rollout.wave + 1):
            members = [member for member in rollout.members.values() if member.wave < wave]
            assert all(member.is_settled for member in members)

    @invariant()
    def no_wave_exposes_more_than_its_share(self) -> None:
        if not hasattr(self, "world"):
            return
        wave = self.world.rollout.wave
        reached = sum(found <= wave for found in waves_of(self.plan.waves, len(self.order)))
        assert self.world.director.ever_offered <= set(self.order[:reached])
        if wave < self.world.rollout.last_wave:
            assert reached <= max(1, self.plan.waves[wave].of(len(self.order)))

    @invariant()
    def what_has_committed_is_only_taken_back_where_the_plan_says_so(self) -> None:
        if not hasattr(self, "world"):
            return
        rollout = self.world.rollout
        taken = [member for member in rollout.members.values() if member.phase is Phase.CANCELLED and member.progress == 1.0]
        assert not taken or (self.plan.takes_back and rollout.state is State.FAILED)

    @invariant()
    def nobody_serves_what_has_not_shown_itself_in_shadow(self) -> None:
        if not hasattr(self, "world") or self.plan.strategy is not Strategy.SHADOW:
            return
        rollout = self.world.rollout
        assert all(rollout.members[name].wave < rollout.proven for name in self.world.director.ever_offered)

    @precondition(lambda self: self.world.rollout.state is State.FAILED)
    @rule()
    def a_stop_withdraws_at_once(self) -> None:
        self.world.turn(0.25)
        wishes: dict[str, ReleaseRef | None] = self.world.director.wishes
        for name, member in self.world.rollout.members.items():
            if member.phase in LOST | {Phase.CANCELLED}:
                assert wishes.get(name) != NEW
                assert name not in self.world.director.shadows

    def teardown(self) -> None:
        """Every rollout ends when devices do their work, and people let it."""
        if not hasattr(self, "world"):
            return
        for _ in range(200):
            if self.world.rollout.ended_at is not None:
                break
            if self.world.rollout.state is State.PAUSED:
                try:
                    self.world.order("promote")
                except RolloutStateError:
                    self.world.order("resume")
            self.world.everybody()
            self.world.turn(30)
        rollout = self.world.rollout
        assert rollout.ended_at is not None
        assert rollout.errands() == []
        assert rollout.ended_at - rollout.started_at < timedelta(days=1)
        for name, member in rollout.members.items():
            if member.phase in LOST | {Phase.CANCELLED}:
                assert self.world.director.wishes.get(name) != NEW


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
