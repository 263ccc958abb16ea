"""What must be true of a small world: after each save, at every moment, and at its end."""

from __future__ import annotations

from agent.core.update import (
    Effect,
    Update,
)
from contracts.lifecycle import IN_PROGRESS, Phase
from tests.sim.update_machine import PHASE_OF, Machine, place
from tests.sim.update_world import World


def judge_save(before: Update, after: Update, effects: tuple[Effect, ...], *, is_damage: bool) -> None:
    """Check what one step made of a state."""
    told = after.last if after.last != before.last else None
    if before.current is not None and (after.current is None or after.current.release < before.current.release):
        is_named = told is not None and told.result is Phase.ROLLED_BACK and told.release == before.current and told.reason
        is_return = told is not None and told.result is Phase.COMMITTED and after.current == before.previous
        assert is_named or is_return or is_damage, f"the release counter shrinks without a name: {before} to {after}"
    if told is not None and told.result is not Phase.COMMITTED:
        assert told.reason, f"an end without a reason: {after}"
    if effects and after.candidate is not None:
        last = effects[-1]
        assert (PHASE_OF.get(last.do), last.release) == (after.phase, after.candidate), f"work is cut off and not begun again: {after}"


def judge(machine: Machine, world: World) -> None:
    """Check what must be true at every moment; raise AssertionError."""
    saved = machine.updates[world.disk]
    slots = (place(saved.current), place(saved.previous))
    assert (saved.candidate is not None) is (saved.phase in IN_PROGRESS), f"a candidate without its phase: {saved}"
    assert not (saved.current and saved.current == saved.previous), f"one release in both slots: {saved}"
    assert not world.blamed & set(slots), f"a slot names a release that was rolled back: {saved}"
    if saved.good is not None and not world.was_damaged:
        assert place(saved.good) in slots, f"the last known good is in no slot: {saved}"
    if not world.was_damaged:
        assert world.files.issuperset(set(slots) - {0}), f"a slot's files are gone: {saved}"
    if saved.phase in {Phase.REJECTED, Phase.FAILED, Phase.ROLLED_BACK, Phase.CANCELLED}:
        assert saved.reason, f"an end without a reason: {saved}"


def judge_end(machine: Machine, world: World) -> None:
    """Check a world that stays as it is."""
    assert world.mind is not None
    update = machine.updates[world.mind]
    assert world.disk == world.mind, "what is done is not what is saved"
    assert update.candidate is None, f"no exit from {update}"
    if not world.was_damaged:
        assert world.serving == place(update.current), f"{world.serving} serves in {update}"
        assert world.files == {place(update.current), place(update.previous)} - {0}, f"leftovers {world.files} in {update}"
