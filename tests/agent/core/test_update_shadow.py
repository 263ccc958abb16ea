"""The update machine with a candidate in shadow: only the fleet's word leads out of it to serve; mishaps around it: test_update_world."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from agent.core.update import MAX_ATTEMPTS, Do, Done, Effect, Failed, Update, Waited, Wished, leave, limit_s, resume, step
from agent.core.update.waiting import RESTART_S
from contracts.lifecycle import Phase
from contracts.shadow import ShadowTerms
from tests.sim.update_machine import RELEASES, Ref

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
ONE, TWO = (Ref(model="digits", release=number, manifest_sha256=f"{number:064x}") for number in (1, 2))
TERMS = ShadowTerms(share=0.05, life_s=3000.0)
SERVING = Update(phase=Phase.COMMITTED, wish=ONE, current=ONE, good=ONE, generation=1)
assert RELEASES[1] == ONE


def wished_in_shadow(generation: int = 2, terms: ShadowTerms | None = TERMS) -> Wished:
    return Wished(TWO, 100, generation, terms)


def in_shadow() -> Update:
    update, _ = step(SERVING, wished_in_shadow(), NOW)
    for phase in (Phase.FETCHING, Phase.STAGING, Phase.TESTING):
        update, effects = step(update, Done(TWO, phase), NOW)
    assert (update.phase, effects) == (Phase.SHADOW, [Effect(Do.START_SHADOW, TWO)])
    return update


def test_a_candidate_in_shadow_serves_by_the_fleets_next_word_without_being_fetched_or_tested_again() -> None:
    update = in_shadow()
    assert step(update, Done(TWO, Phase.SHADOW), NOW) == (update, [])

    promoted, effects = step(update, Wished(TWO, 100, 3), NOW)

    assert (promoted.phase, promoted.shadow, effects) == (Phase.SWITCHING, None, [Effect(Do.SWITCH, TWO)])


def test_a_word_that_comes_before_the_shadow_is_reached_leads_past_it() -> None:
    update, _ = step(SERVING, wished_in_shadow(), NOW)
    update, effects = step(update, Wished(TWO, 100, 3), NOW)
    assert (update.phase, effects) == (Phase.FETCHING, [])  # what is under way goes on

    for phase in (Phase.FETCHING, Phase.STAGING, Phase.TESTING):
        update, _ = step(update, Done(TWO, phase), NOW)

    assert update.phase is Phase.SWITCHING


def test_other_terms_begin_the_shadow_anew_and_the_same_ones_change_nothing() -> None:
    update = in_shadow()
    same, effects = step(update, wished_in_shadow(3), NOW)
    assert (replace(same, generation=2), effects) == (update, [])

    other = TERMS.model_copy(update={"share": 0.5})
    changed, effects = step(update, wished_in_shadow(3, other), NOW)

    assert (changed.phase, changed.shadow, effects) == (Phase.SHADOW, other, [Effect(Do.START_SHADOW, TWO)])


def test_a_shadow_that_is_withdrawn_is_cancelled_and_may_be_wished_again() -> None:
    update, effects = step(in_shadow(), Wished(ONE, 100, 3), NOW)
    assert update.last is not None
    assert (update.phase, update.current, update.last.result, effects) == (Phase.COMMITTED, ONE, Phase.CANCELLED, [Effect(Do.DISCARD, TWO)])

    again, effects = step(update, wished_in_shadow(4), NOW)

    assert (again.phase, effects) == (Phase.FETCHING, [Effect(Do.FETCH, TWO)])


def test_a_shadow_that_failed_is_not_tried_again_in_earnest_for_the_same_release() -> None:
    update, effects = step(in_shadow(), Failed(TWO, Phase.SHADOW, "3 crashes in shadow"), NOW)
    assert (update.phase, update.current, effects) == (Phase.ROLLED_BACK, ONE, [Effect(Do.ROLL_BACK, TWO)])

    after, effects = step(update, Wished(TWO, 100, 3), NOW)

    assert (after.phase, effects) == (Phase.ROLLED_BACK, [])


def test_a_forgotten_shadow_ends_and_its_promotion_after_that_is_a_wish_like_any_other() -> None:
    update, effects = step(in_shadow(), Waited(TERMS.life_s), NOW)
    assert (update.phase, effects) == (Phase.CANCELLED, [Effect(Do.DISCARD, TWO)])
    assert "while shadow within 3000 s" in update.reason

    after, effects = step(update, Wished(TWO, 100, 3), NOW)

    assert (after.phase, after.shadow, effects) == (Phase.FETCHING, None, [Effect(Do.FETCH, TWO)])


def test_life_in_shadow_is_summed_up_over_restarts_and_a_restart_counts_too() -> None:
    update, _ = step(in_shadow(), Waited(1000.0), NOW)
    update, _ = resume(leave(update), NOW)
    assert (update.phase, update.attempt, update.shadowed_s) == (Phase.FETCHING, 1, 1000.0 + RESTART_S)

    for phase in (Phase.FETCHING, Phase.STAGING, Phase.TESTING):
        update, _ = step(update, Done(TWO, phase), NOW)

    assert (update.phase, limit_s(update)) == (Phase.SHADOW, TERMS.life_s - 1000.0 - RESTART_S)


def test_a_candidate_that_brings_the_agent_down_in_shadow_is_given_up() -> None:
    update = in_shadow()
    deaths = 0
    while update.candidate is not None:
        update, _ = resume(update, NOW)
        deaths += 1
        for phase in (Phase.FETCHING, Phase.STAGING, Phase.TESTING):
            if update.candidate is not None:
                update, _ = step(update, Done(TWO, phase), NOW)
    assert (update.phase, update.current, deaths) == (Phase.ROLLED_BACK, ONE, MAX_ATTEMPTS)
    assert update.reason == f"the agent died {MAX_ATTEMPTS} times while it was shadow"


def test_what_serves_already_needs_no_shadow() -> None:
    update, effects = step(replace(SERVING, current=TWO, good=TWO), wished_in_shadow(), NOW)

    assert (update.phase, update.candidate, effects) == (Phase.COMMITTED, None, [])
