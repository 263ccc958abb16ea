"""The errors a person can act on: each says at fault, expected and found, and carries the exit status of the command."""

from __future__ import annotations

from typing import ClassVar


class FieldfareError(Exception):
    """Root of every package's errors; the CLI prints it as one line.

    Exit statuses: 1 the work was done and the answer is no; 2 bad input or usage; 3 something needed cannot be reached.
    """

    exit_status: ClassVar[int] = 2


class ContractError(FieldfareError):
    """Two parties would not understand each other."""


class InvalidDocumentError(ContractError):
    """A document's field is not what its schema says."""

    def __init__(self, document: str, field: str, expected: str, found: str) -> None:
        super().__init__(f"{document}: {field}: expected {expected}, found {found}")
        self.document = document
        self.field = field


class TamperedError(ContractError):
    """Bytes are not the bytes that a digest names."""

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(f"{name}: expected sha256 {expected}, found {found}; fetch or build it again")
        self.name = name


class MissingFileError(ContractError):
    """A bundle lacks a file that its manifest lists."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: expected a regular file, found none; fetch or build the bundle again")
        self.name = name


class TooLargeError(ContractError):
    """Something is larger than anyone may make it."""

    def __init__(self, name: str, max_bytes: int, found_bytes: int) -> None:
        super().__init__(f"{name}: expected at most {max_bytes} bytes, found {found_bytes}")
        self.name = name


class ForbiddenEdgeError(ContractError):
    """A party tried a step of the life cycle that is not its to take."""

    def __init__(self, source: str, target: str, party: str) -> None:
        super().__init__(f"life cycle: {party} may not move a release from {source} to {target}")


class MalformedDeltaError(ContractError):
    """A delta is not what its format says, or not one for these files."""

    def __init__(self, part: str, expected: str, found: str) -> None:
        super().__init__(f"delta: {part}: expected {expected}, found {found}; fetch the whole file")
        self.part = part


class MalformedPacketError(ContractError):
    """What came over a connection is not MQTT 5 as a broker speaks it to us."""

    def __init__(self, part: str, expected: str, found: str) -> None:
        super().__init__(f"MQTT: {part}: expected {expected}, found {found}; look what answers at the broker's port")
        self.part = part
