"""Keeps commands with who asked for them, what the devices answered, and the cost table that benchmarks fill."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, delete, func, literal, select, tuple_, update

from contracts import codec
from contracts.commands import ORDER, Benchmark, Command, CommandResult, Cost, Findings
from fleet.core.commands import MAX_PENDING, PICTURE_LIFE, REPEAT, is_news, standing
from fleet.core.pages import Key, Part, part_of
from fleet.errors.devices import TooManyCommandsError, UnknownCommandError
from fleet.errors.enrolment import RevokedError
from fleet.store.database import Database
from fleet.store.devices import row_of
from fleet.store.tables import Stamp, commands, devices
from fleet.store.times import micros, moment
from fleet.views.commands import CommandSummary, CommandView

_FINDINGS: TypeAdapter[Findings] = TypeAdapter(Findings)
# A picture is never read to list commands.
_BRIEF = [column for column in commands.c if column.name != "findings"]


class CommandStore:
    """Every command that was given, for as long as other history."""

    def __init__(self, database: Database, retention: timedelta) -> None:
        """Keep commands for `retention`."""
        self._database = database
        self._retention = retention

    def add(self, command: Command) -> None:
        """Keep a new command; raise UnknownDeviceError, RevokedError or TooManyCommandsError."""
        pending = (commands.c.device == command.device) & commands.c.said.is_(None) & (commands.c.expires_at > command.issued_at)
        with self._database.writing() as connection:
            if row_of(connection, command.device).revoked_at is not None:
                raise RevokedError(command.device)
            if connection.execute(select(func.count()).select_from(commands).where(pending)).scalar_one() >= MAX_PENDING:
                raise TooManyCommandsError(command.device, MAX_PENDING)
            row = {
                "id": command.id,
                "device": command.device,
                "kind": command.order.kind,
                "order": codec.encode(command.order).decode(),
                "asker": command.asker,
                "issued_at": command.issued_at,
                "expires_at": command.expires_at,
                "reason": "",
            }
            connection.execute(commands.insert().values(row))

    def due(self, now: datetime, limit: int) -> tuple[Command, ...]:
        """Return commands that no device took so far, and that were not told lately."""
        unheard = commands.c.said.is_(None) & (commands.c.expires_at > now)
        lately = commands.c.sent_at.is_(None) | (commands.c.sent_at <= now - REPEAT)
        with self._database.reading() as connection:
            rows = connection.execute(select(*_BRIEF).where(unheard & lately).order_by(commands.c.issued_at).limit(limit)).all()
        return tuple(_command_of(row) for row in rows)

    def sent(self, told: Sequence[Command], now: datetime) -> None:
        """Note that the broker had these."""
        with self._database.writing() as connection:
            numbers = [command.id for command in told]
            connection.execute(update(commands).where(commands.c.id.in_(numbers)).values(sent_at=now))

    def answer(self, device: str, result: CommandResult, now: datetime) -> bool:
        """Keep what a device says of a command, unless it is no news; return whether the command is the device's at all."""
        mine = (commands.c.id == result.command) & (commands.c.device == device)
        with self._database.writing() as connection:
            row = connection.execute(select(commands.c.said, commands.c.kind).where(mine)).first()
            if row is None or (result.findings is not None and result.findings.kind != row.kind):
                return False
            if is_news(result.state, row.said):
                findings = None if result.findings is None else codec.encode(result.findings).decode()
                values = {"said": result.state, "reason": result.reason, "findings": findings, "answered_at": now}
                connection.execute(update(commands).where(mine).values(values))
        return True

    def command(self, device: str, number: str, now: datetime) -> CommandView:
        """Return a command and what it brought; raise UnknownCommandError."""
        mine = (commands.c.id == number) & (commands.c.device == device)
        with self._database.reading() as connection:
            row = connection.execute(select(commands).where(mine)).first()
        if row is None:
            raise UnknownCommandError(device, number)
        found = None if row.findings is None else _FINDINGS.validate_json(row.findings)
        return CommandView(**_summary(row, now), findings=found)

    def commands(self, device: str, now: datetime, limit: int, last: Key | None = None) -> Part[CommandSummary]:
        """Return a device's commands, newest first; raise UnknownDeviceError."""
        key = (commands.c.issued_at, commands.c.id)
        mine = select(*_BRIEF).where(commands.c.device == device).order_by(*(column.desc() for column in key)).limit(limit + 1)
        if last is not None:
            mine = mine.where(tuple_(*key) < tuple_(literal(moment(int(last[0])), Stamp), literal(str(last[1]))))
        with self._database.reading() as connection:
            row_of(connection, device)
            rows = connection.execute(mine).all()
        return part_of(rows, limit, lambda row: CommandSummary(**_summary(row, now)), lambda row: (micros(row.issued_at), row.id))

    def costs(self, limit: int, last: Key | None = None) -> Part[Cost]:
        """Return what benchmarks found, newest first."""
        key = (commands.c.answered_at, commands.c.id)
        done = select(*key, commands.c.device, devices.c.hardware, commands.c.findings).join(devices, devices.c.id == commands.c.device)
        done = done.where(commands.c.kind == "benchmark", commands.c.said == "ok", commands.c.findings.is_not(None))
        done = done.order_by(*(column.desc() for column in key)).limit(limit + 1)
        if last is not None:
            done = done.where(tuple_(*key) < tuple_(literal(moment(int(last[0])), Stamp), literal(str(last[1]))))
        with self._database.reading() as connection:
            rows = connection.execute(done).all()
        return part_of(
            rows,
            limit,
            lambda row: _cost(row.device, row.hardware, row.answered_at, row.findings),
            lambda row: (micros(row.answered_at), row.id),
        )

    def prune(self, now: datetime) -> None:
        """Forget what is old: pictures after a day, commands after the retention."""
        pictures = (commands.c.kind == "snapshot") & (commands.c.issued_at < now - PICTURE_LIFE)
        with self._database.writing() as connection:
            connection.execute(update(commands).where(pictures).values(findings=None))
            connection.execute(delete(commands).where(commands.c.issued_at < now - self._retention))


def _command_of(row: Row[tuple[object, ...]]) -> Command:
    return Command(
        id=row.id,
        device=row.device,
        asker=row.asker,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        order=ORDER.validate_json(row.order),
    )


def _cost(device: str, hardware: str, measured_at: datetime, findings: str) -> Cost:
    return Cost(device=device, hardware=hardware, measured_at=measured_at, benchmark=Benchmark.model_validate_json(findings))


def _summary(row: Row[tuple[object, ...]], now: datetime) -> dict[str, Any]:
    return {
        "id": row.id,
        "device": row.device,
        "order": ORDER.validate_json(row.order),
        "asker": row.asker,
        "state": standing(row.said, row.expires_at, now),
        "reason": row.reason,
        "issued_at": row.issued_at,
        "expires_at": row.expires_at,
        "answered_at": row.answered_at,
    }
