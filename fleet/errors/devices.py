"""Why a device, or what was asked of one, is not to be had."""

from __future__ import annotations

from fleet.errors import FleetError


class UnknownDeviceError(FleetError):
    """No device of that id was added."""

    def __init__(self, device: str) -> None:
        super().__init__(f"device {device}: expected a device of this fleet, found none; `fieldfare devices` lists them")


class DeviceExistsError(FleetError):
    """A device's id is taken."""

    def __init__(self, device: str) -> None:
        super().__init__(
            f"device {device}: expected a new id, found one that was enrolled before; choose another, "
            f"or run `fieldfare device revoke {device}` and give out a token with --name {device}"
        )


class UnknownCommandError(FleetError):
    """No such command was given to a device, or it was forgotten since."""

    def __init__(self, device: str, command: str) -> None:
        super().__init__(f"command {command}: expected one that was given to {device}, found none; `fieldfare device commands` lists them")


class TooManyCommandsError(FleetError):
    """A device does not take what it was asked already."""

    exit_status = 1

    def __init__(self, device: str, limit: int) -> None:
        super().__init__(f"device {device}: expected fewer than {limit} commands that wait for it, found {limit}; wait until they expire")


class CommandEndedError(FleetError):
    """A command came to another end than it was given for."""

    exit_status = 1

    def __init__(self, device: str, kind: str, state: str, reason: str) -> None:
        super().__init__(f"{kind} on {device}: expected it to be done, found it {state}" + (f": {reason}" if reason else ""))


class QueryError(FleetError):
    """A target query cannot be read."""

    def __init__(self, query: str, position: int, expected: str, hint: str = "") -> None:
        found = repr(query[position : position + 20]) if position < len(query) else "the end"
        super().__init__(f"query {query!r}: position {position + 1}: expected {expected}, found {found}{hint and f'; {hint}'}")
        self.position = position


class NoDevicesError(FleetError):
    """A rollout would reach nobody."""

    def __init__(self, query: str, reason: str) -> None:
        super().__init__(f"query {query!r}: expected at least one device to update, found none: {reason}")


class TooManyDevicesError(FleetError):
    """More devices are meant than one change takes."""

    def __init__(self, found: int, limit: int) -> None:
        super().__init__(f"labels: expected at most {limit} devices in one change, found {found} or more; narrow the query")
