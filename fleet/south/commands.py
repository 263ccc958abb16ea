"""Tells devices what people ask of them, signed and again until one takes it, and takes in what they answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from contracts import codec
from contracts.commands import MAX_RESULT_BYTES, Command, CommandResult
from contracts.errors import ContractError
from contracts.topics import of_command, of_every_device, parse_result, result_leaf
from fleet.errors.server import LinkDownError, MessagesRefusedError
from fleet.errors.store import StoreError
from fleet.south.mqtt import Received
from fleet.south.poison import Poison

TOPICS = (of_every_device(result_leaf("+")),)
PATIENCE_S = 0.25
BATCH_MESSAGES, BATCH_COMMANDS = 16, 100

log = logging.getLogger("fleet.commands")


class Link(Protocol):
    """The broker."""

    @property
    def is_up(self) -> bool:
        """Say whether it is there."""

    def take(self, limit: int, timeout_s: float) -> list[Received]:
        """Return what arrived."""

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        """Publish; raise LinkDownError."""


class Commands(Protocol):
    """Where commands are kept."""

    def due(self, now: datetime, limit: int) -> Sequence[Command]:
        """Return commands that no device took so far, and that were not told lately."""

    def sent(self, told: Sequence[Command], now: datetime) -> None:
        """Note that the broker had these."""

    def answer(self, device: str, result: CommandResult, now: datetime) -> bool:
        """Keep what a device says of a command; return whether the command is the device's at all."""


class Signer(Protocol):
    """The director's key."""

    def sign_command(self, command: Command) -> bytes:
        """Return the envelope as JSON."""


class Commander:
    """A loop of its own; `now` gives aware UTC."""

    def __init__(self, link: Link, commands: Commands, signer: Signer, now: Callable[[], datetime]) -> None:
        """Nothing is said or read before `turn`."""
        self._link = link
        self._commands = commands
        self._signer = signer
        self._now = now
        self._unsaved: list[tuple[str, CommandResult]] = []
        self._poison = Poison(log)

    def turn(self) -> None:
        """Take in answers, then tell what is due; whatever fails is tried again at the next call."""
        for received in self._link.take(BATCH_MESSAGES, PATIENCE_S) if not self._unsaved else ():
            self._hear(received)
        self._save()
        self._tell()

    def _hear(self, received: Received) -> None:
        topic = parse_result(received.topic)
        try:
            result = codec.decode(CommandResult, received.payload, name=received.topic, max_bytes=MAX_RESULT_BYTES)
        except ContractError as error:
            self._poison.add(received.topic, str(error))
            return
        if topic is None or topic.command != result.command:
            self._poison.add(received.topic, f"expected a result of the command that the topic names, found one of {result.command}")
        else:
            self._unsaved.append((topic.device, result))

    def _save(self) -> None:
        while self._unsaved:
            device, result = self._unsaved[0]
            try:
                is_known = self._commands.answer(device, result, self._now())
            except StoreError as error:
                log.warning("%d results wait: %s", len(self._unsaved), error)
                return
            self._unsaved.pop(0)
            if not is_known:
                self._poison.add(device, f"command {result.command}: expected one that was given to this device, of this kind")

    def _tell(self) -> None:
        now = self._now()
        if not self._link.is_up or not (due := self._commands.due(now, BATCH_COMMANDS)):
            return
        messages = [(of_command(command.device, command.id), self._signer.sign_command(command)) for command in due]
        try:
            self._link.publish(messages, retain=False)
        except MessagesRefusedError as error:
            if error.is_news:
                log.warning("%s", error)
            self._commands.sent([command for command in due if of_command(command.device, command.id) not in error.reasons], now)
        except LinkDownError as error:
            log.warning("%s", error)
        else:
            self._commands.sent(due, now)
