"""When settings make sense on a device, and when they have shown themselves fit: whatever is seen, a trial ends, and never too well."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.configuring import BASE_REF, UNTOUCHED, Ground, Signs, Trial, misfit, ref_of
from agent.core.update import MAX_ATTEMPTS, MAX_STRIKES, Do, Done, Failed, Unsuitable, Update, Wished, resume, step
from contracts.agent_config import AgentConfig
from contracts.configuration import Configuration, configured
from contracts.lifecycle import IN_PROGRESS, Phase
from contracts.settings import Settings

MIB = 1 << 20
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
BASE_CONFIG = AgentConfig.model_validate({"device": {"id": "pi-1", "hardware": "cpu"}, "broker": {"host": "broker", "port": 8883}})
ROOMY = Ground(memory_bytes=1024 * MIB, disk_free_bytes=4096 * MIB, waiting_bytes=0, has_folder=True)
GOOD = Signs(is_linked=True, is_health_sent=True)
WANTED = ref_of(Configuration(revision=2, settings={"telemetry.window_s": 5.0}))

signs = st.builds(Signs, st.booleans(), st.booleans(), st.sampled_from([(), ("digits",)]))


def test_what_agent_toml_may_say_makes_sense_on_a_device_with_room() -> None:
    assert misfit(BASE_CONFIG, ROOMY) is None


@pytest.mark.parametrize(
    ("settings", "ground", "named"),
    [
        ({"worker.memory_mib": 2048}, ROOMY, "worker.memory_mib: expected at most the device's 1024, found 2048"),
        ({}, replace(ROOMY, disk_free_bytes=70 * MIB), "telemetry.outbox_max_bytes: expected room for it"),
        ({"delivery.folder": "stick"}, replace(ROOMY, has_folder=False), "delivery.folder: expected a folder or a bundle at stick"),
        ({"delivery.sources": ("https", "folder")}, ROOMY, "delivery.sources: expected one that can bring a file"),
    ],
)
def test_what_makes_no_sense_on_a_device_is_named(settings: Settings, ground: Ground, named: str) -> None:
    assert (misfit(configured(BASE_CONFIG, settings), ground) or "").startswith(named)


def test_what_waits_already_needs_no_further_room() -> None:
    full = replace(ROOMY, disk_free_bytes=0, waiting_bytes=BASE_CONFIG.telemetry.outbox_max_bytes)
    assert misfit(BASE_CONFIG, full) is None


@given(st.lists(st.tuples(signs, st.floats(0.01, 5)), min_size=1, max_size=60), st.floats(0.1, 20))
def test_settings_are_fit_only_after_a_whole_probation_in_which_nothing_was_lacking(
    seen: list[tuple[Signs, float]], probation_s: float
) -> None:
    now_s, calm_s, trial = 0.0, 0.0, Trial(0.0, probation_s, 10.0)
    was_good = False
    for sign, pause_s in seen:
        calm_s = calm_s + pause_s if was_good and not sign.lack else 0.0
        now_s += pause_s
        trial, was_good = trial.seen(sign, now_s), not sign.lack
        if trial.is_fit(now_s):
            assert calm_s >= probation_s - 1e-6
        if trial.is_over(now_s):
            assert trial.lack


@given(st.floats(0.1, 600), st.floats(1, 600))
def test_settings_without_a_link_are_given_up_in_time_and_a_model_that_loads_is_waited_for(probation_s: float, patience_s: float) -> None:
    end_s = patience_s + 2 * probation_s + 1e-6
    trial = Trial(0.0, probation_s, patience_s)
    assert trial.seen(Signs(is_linked=False, is_health_sent=True), end_s).is_over(end_s)
    assert not trial.seen(Signs(is_linked=False, is_health_sent=True), end_s / 2).is_over(end_s / 2)
    assert not trial.seen(replace(GOOD, waiting=("digits",)), end_s).is_over(end_s)
    assert trial.seen(GOOD, 0.0).is_fit(probation_s)


def test_each_thing_that_is_lacking_is_named() -> None:
    assert Signs(is_linked=False, is_health_sent=False).lack.startswith("link: ")
    assert Signs(is_linked=True, is_health_sent=False).lack.startswith("health: ")
    assert replace(GOOD, waiting=("digits",)).lack == "worker: expected one that serves digits, found none"
    assert GOOD.lack == ""


events = st.sampled_from(
    [
        *(Wished(ref_of(Configuration(revision=number, settings={})), 0, number) for number in (1, 2, 3)),
        *(Done(WANTED, phase) for phase in IN_PROGRESS),
        *(Failed(WANTED, phase, "link: gone") for phase in IN_PROGRESS),
        Wished(WANTED, 0, 2),
        Unsuitable(WANTED, "no such setting"),
        None,
    ]
)


@given(st.lists(events, max_size=40))
def test_through_the_update_machine_some_configuration_is_always_in_force_and_every_end_has_a_reason(happened: list[object]) -> None:
    """None is a death of the agent."""
    update = UNTOUCHED
    for event in happened:
        update = resume(update, NOW)[0] if event is None else step(update, event, NOW)[0]  # type: ignore[arg-type]  # one of the events
        assert update.current is not None
        assert (update.candidate is not None) is (update.phase in IN_PROGRESS)
        if update.phase in {Phase.REJECTED, Phase.FAILED, Phase.ROLLED_BACK}:
            assert update.reason


def tried(phase: Phase) -> Update:
    """Return the state of a device that tries a configuration."""
    update = step(UNTOUCHED, Wished(WANTED, 0, 1), NOW)[0]
    while update.phase is not phase:
        update = step(update, Done(WANTED, update.phase), NOW)[0]
    return update


@pytest.mark.parametrize("phase", [Phase.TESTING, Phase.SWITCHING, Phase.PROBATION])
def test_settings_that_bring_the_agent_down_each_time_are_left_at_the_third_start(phase: Phase) -> None:
    update = tried(phase)
    for _ in range(MAX_ATTEMPTS - 1):
        update = resume(update, NOW)[0]
        assert update.candidate == WANTED
        while update.phase is not phase:
            update = step(update, Done(WANTED, update.phase), NOW)[0]
    update, effects = resume(update, NOW)
    assert (update.phase, update.current, update.candidate) == (Phase.ROLLED_BACK, BASE_REF, None)
    assert Do.ROLL_BACK in {effect.do for effect in effects}
    # And the same wish is not tried again
    assert step(update, Wished(WANTED, 0, 2), NOW)[0].candidate is None


def test_committed_settings_that_bring_the_agent_down_again_and_again_give_way_to_those_before() -> None:
    update = step(tried(Phase.PROBATION), Done(WANTED, Phase.PROBATION), NOW)[0]
    assert (update.phase, update.current, update.previous) == (Phase.COMMITTED, WANTED, BASE_REF)
    for _ in range(MAX_STRIKES):
        update = resume(update, NOW)[0]
    assert (update.phase, update.current) == (Phase.ROLLED_BACK, BASE_REF)
