"""Why the audit log is not what it should be."""

from __future__ import annotations

from typing import ClassVar

from fleet.errors import FleetError


class BrokenChainError(FleetError):
    """A row is not the one that was written."""

    exit_status: ClassVar[int] = 1

    def __init__(self, number: int, expected: str, found: str) -> None:
        super().__init__(f"audit row {number}: expected {expected}, found {found}; the log was changed here, or before the row was written")
        self.number = number


class CutOffError(FleetError):
    """Rows at the end are missing."""

    exit_status: ClassVar[int] = 1

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"audit row {expected}: expected the anchor's row, found the log ends with row {found}; later rows were cut off")


class AuditFileError(FleetError):
    """An exported log cannot be read."""

    def __init__(self, file: str, found: str) -> None:
        super().__init__(f"{file}: expected what `fieldfare audit export` printed, found: {found}")


class AnchorError(FleetError):
    """A text is no anchor."""

    def __init__(self, found: str) -> None:
        super().__init__(f"--anchor: expected NUMBER:SHA256 as `fieldfare audit verify` prints it, found {found!r:.80}")
