"""Says what the device has to say, one message after the other, and says again later what the broker did not take."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable

import anyio

from agent.control.ports.link import Connection
from agent.control.reporter import Reporter
from agent.core.audience import Audience
from agent.core.drawers import Letter
from agent.core.said import Said
from agent.errors import LinkLostError
from contracts.mqtt_reasons import FAILURE, Fate, fate_of, words

# Publishes to one of the device's leaves, retained or not, and returns the reason code; raises LinkLostError.
Publish = Callable[[Connection, str, bytes, bool], Awaitable[int]]

log = logging.getLogger(__name__)


class Speaker:
    """One at a time: a message follows when the broker has answered the one before."""

    def __init__(self, reporter: Reporter, said: Said, publish: Publish) -> None:
        """Say what `reporter` has, and again what was `said` before the link was lost."""
        # The broker has taken a report since this was set to False last.
        self.has_acknowledged = False
        self._reporter = reporter
        self._said = said
        self._publish = publish
        self._is_birth_due = False
        # When what the broker retains, and when letters, may be said again.
        self._documents = self._letters = Audience()
        # The last answer was a refusal.
        self._is_refused = False
        # Why the report is refused for good, as long as it is; so the fleet is told once.
        self._report_refusal = 0
        # The fleet is told what was given up when something was taken since: or a refusal to hear of it would be told of for ever.
        self._may_tell = False
        # Over which the broker ended the connection, and the reason: the second time it is the letter's fault.
        self._suspect: tuple[Letter, int] | None = None

    async def greet(self, connection: Connection) -> None:
        """Begin on a new connection: be born, and owe a report."""
        # There may be somebody to give to by now; but what was refused is not said sooner because the broker ended the connection over it.
        self._documents = self._documents if self._is_refused else Audience()
        self._letters = self._letters if self._is_refused else Audience()
        self.has_acknowledged = False
        self._is_birth_due = self._reporter.is_report_due = True
        if not self._documents.silence_s(time.monotonic()):
            await self._be_born(connection)

    def lose(self) -> None:
        """Owe again what the broker may have lost with the link."""
        self._said.lose(anyio.current_time())

    async def speak(self, connection: Connection) -> None:
        """Say everything, for ever; raise LinkLostError."""
        while True:
            self._reporter.wake.clear()
            if await self._say_next(connection):
                continue
            now_s = time.monotonic()
            if self._may_tell and not self._letters.silence_s(now_s):
                self._may_tell = not self._reporter.tell_dropped()
            waits = [each for each in (self._documents.silence_s(now_s), self._letters.silence_s(now_s)) if each]
            with anyio.move_on_after(min(waits, default=None)):
                await self._reporter.wake.wait()

    async def _say_next(self, connection: Connection) -> bool:
        """Say one message; False where there is none that may be said now."""
        now_s = time.monotonic()
        if not self._documents.silence_s(now_s):
            if self._is_birth_due:
                await self._be_born(connection)
                return True
            if self._reporter.is_report_due:
                await self._report(connection)
                return True
        letter = None if self._letters.silence_s(now_s) else self._next_letter()
        if letter is not None:
            await self._send(connection, letter)
        return letter is not None

    async def _be_born(self, connection: Connection) -> None:
        reason = await self._publish(connection, "birth", self._reporter.birth(is_online=True), True)
        fate = fate_of(reason, is_retained=True)
        self._is_birth_due = fate is Fate.LATER
        self._documents = self._after(self._documents, "birth", reason, fate)

    async def _report(self, connection: Connection) -> None:
        self._reporter.is_report_due = False
        reason = await self._publish(connection, "reported", self._reporter.reported(), True)
        fate = fate_of(reason, is_retained=True)
        self.has_acknowledged |= fate is Fate.TAKEN
        self._reporter.is_report_due |= fate is Fate.LATER
        self._documents = self._after(self._documents, "report", reason, fate)
        refusal = reason if fate is Fate.NEVER else 0
        if refusal and refusal != self._report_refusal:
            self._reporter.event("link", "error", f"the broker refuses this device's report for good: {words(reason)}")
        self._report_refusal = refusal

    def _next_letter(self) -> Letter | None:
        outbox, owed = self._reporter.outbox, self._said.first_owed()
        if owed is not None:
            return owed
        while (letter := outbox.first()) is not None and self._said.is_known_from_before(letter):
            outbox.remove(letter)
        return letter

    async def _send(self, connection: Connection, letter: Letter) -> None:
        """Say it; it is kept for later when nobody takes it now, and given up when nobody ever will."""
        try:
            reason = await self._publish(connection, letter.leaf, letter.payload, False)
        except LinkLostError as error:
            if self._is_to_blame(letter, error.reason_code):
                self._give_up(letter, error.reason_code or 0)
            raise
        if self._suspect is not None and self._suspect[0] == letter:
            self._suspect = None
        fate = fate_of(reason)
        if fate is Fate.TAKEN:
            self._said.add(letter, anyio.current_time())
            self._reporter.outbox.remove(letter)
        elif fate is Fate.NEVER:
            self._give_up(letter, reason)
        self._letters = self._after(self._letters, letter.leaf, reason, fate)

    def _is_to_blame(self, letter: Letter, reason: int | None) -> bool:
        """Say whether the broker ended a connection over this letter, which it does not always announce or tell apart."""
        if reason is None or fate_of(reason) is not Fate.NEVER:
            return False
        is_again = self._suspect == (letter, reason)
        self._suspect = None if is_again else (letter, reason)
        return is_again

    def _give_up(self, letter: Letter, reason: int) -> None:
        log.warning("the broker refuses a message (%s, %d bytes) for good: %s", letter.leaf, letter.size, words(reason))
        self._said.drop(letter)
        self._reporter.give_up(letter, words(reason))

    def _after(self, audience: Audience, what: str, reason: int, fate: Fate) -> Audience:
        """Return when to speak again, and log when that changes."""
        is_heard = fate in (Fate.TAKEN, Fate.NEVER)
        self._may_tell |= fate is Fate.TAKEN
        self._is_refused = reason >= FAILURE
        if is_heard is bool(audience.absences):
            if reason >= FAILURE:
                log.warning("the broker refuses a message (%s): %s; it is kept and said again", what, words(reason))
            else:
                log.info("there is %s who takes what this device says", "somebody" if is_heard else "nobody")
        return audience.after(is_heard, time.monotonic(), random.random())  # noqa: S311 - spreads load
