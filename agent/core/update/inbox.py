"""Decides which of the events that wait for the machine still matter, so that few wait and none that counts is ever dropped."""

from __future__ import annotations

from agent.core.update.events import Crashed, Done, Event, Failed, Progressed, Unsuitable, Wished
from agent.core.update.state import MAX_CRASHES, MAX_STRIKES


def filed(waiting: tuple[Event, ...], event: Event) -> tuple[Event, ...]:
    """Return what waits once `event` has come, in the order to be heard.

    Only the newest wish counts. A repeated event changes nothing, save a crash, and more crashes than end a release change nothing
    either. All else comes from the one work that is under way, and the next begins only after its end was heard: so no more than a
    handful ever wait.
    """
    match event:
        case Wished():
            return (*(other for other in waiting if not isinstance(other, Wished)), event)
        case Crashed(release):
            crashes = [other for other in waiting if isinstance(other, Crashed) and other.release == release]
            return waiting if len(crashes) >= max(MAX_CRASHES, MAX_STRIKES) else (*waiting, event)
        case _:
            return waiting if event in waiting else (*waiting, event)


def without_work(waiting: tuple[Event, ...]) -> tuple[Event, ...]:
    """Return what still matters once the work under way has been given up: nothing that came of it."""
    return tuple(event for event in waiting if not isinstance(event, Done | Failed | Unsuitable | Progressed))
