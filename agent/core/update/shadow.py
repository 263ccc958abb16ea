"""Decides what other terms for the same release mean: to run it beside what serves, or to let it serve."""

from __future__ import annotations

from dataclasses import replace

from agent.core.update.events import Do, Effect
from agent.core.update.state import Update
from agent.core.update.waiting import RESTART_S
from contracts.lifecycle import Party, Phase, check_step
from contracts.shadow import ShadowTerms


def shadowed_s(update: Update) -> float:
    """Return how long it has been a shadow when the agent starts, the restart counting as time as well."""
    if update.phase is not Phase.SHADOW or update.shadow is None:
        return update.shadowed_s
    return min(update.shadow.life_s, update.shadowed_s + update.waited_s + RESTART_S)


def starts_over(update: Update, terms: ShadowTerms | None) -> bool:
    """Say whether the terms make it another wish: of a release that takes over already, or whose life ended without its own fault."""
    if update.candidate is not None:
        return update.phase in {Phase.SWITCHING, Phase.PROBATION}
    has_turned = (terms is None) is not (update.shadow is None)
    return has_turned and (update.phase is Phase.CANCELLED or update.may_try_again)


def on_other_terms(update: Update, terms: ShadowTerms | None) -> tuple[Update, list[Effect]]:
    """Go on with the same release; out of the shadow it goes on to serve, without being fetched or tested again."""
    release, told = update.candidate, replace(update, shadow=terms)
    if release is None or update.phase is not Phase.SHADOW:
        return told, []
    if terms is not None:
        return told, [Effect(Do.START_SHADOW, release)]
    check_step(Phase.SHADOW, Phase.SWITCHING, Party.AGENT)
    return replace(told, phase=Phase.SWITCHING, waited_s=0.0), [Effect(Do.SWITCH, release)]
