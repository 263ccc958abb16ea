"""What can go wrong inside a worker: a caller's mistake, too much work, or a setup it cannot serve from."""

from __future__ import annotations

from agent.errors import AgentError


class WorkerError(AgentError):
    """Root of the worker's errors."""


class BadRequestError(WorkerError):
    """A caller's request is not what the model takes; the message goes back to the caller."""


class OverloadedError(WorkerError):
    """More requests wait than this worker takes on."""

    def __init__(self, max_waiting: int) -> None:
        super().__init__(f"worker: expected at most {max_waiting} requests to wait, found one more; try again shortly")


class UnspeakableOutputError(WorkerError):
    """An output holds what JSON has no word for."""

    def __init__(self) -> None:
        super().__init__("outputs: expected finite numbers, found NaN or infinity; ask for binary data")


class SetupError(WorkerError):
    """What the control process handed over cannot be served from."""

    def __init__(self, thing: str, expected: str, found: str) -> None:
        super().__init__(f"{thing}: expected {expected}, found {found}")


class LinkBrokenError(WorkerError):
    """The control process said something that no control process says, or stopped reading."""

    exit_status = 1

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"link to the control process: expected {expected}, found {found}")


class ShadowStreamError(WorkerError):
    """What came to a candidate in shadow is no live answer."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"live answers: expected {expected}, found {found}")


class SourceError(WorkerError):
    """A camera or a folder gives no pictures, for now."""
