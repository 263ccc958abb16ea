"""Reads what edgetpu_compiler prints with --show_operations: its version, where each kind of operator went, and the memory."""

from __future__ import annotations

import re
from typing import Literal

from compiler.package.section import Section

MAPPED = "Mapped to Edge TPU"
# Everything else that the compiler says of an operator means that it stays on the CPU.
STATUSES = (
    MAPPED,
    "More than one subgraph is not supported",
    "Operation not supported",
    "Operation is otherwise supported, but not mapped due to some unspecified limitation",
    "Operation is working on an unsupported data type",
    "Operation version not supported",
    "Tensor has unsupported rank",
)
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

_VERSION = re.compile(r"^Edge TPU Compiler version (\S+)", re.MULTILINE)
_ROW = re.compile(rf"^(\S+)[ \t]+(\d+)[ \t]+({'|'.join(re.escape(status) for status in STATUSES)})[ \t]*$", re.MULTILINE)
_SUBGRAPHS = re.compile(r"^Number of Edge TPU subgraphs: (\d+)", re.MULTILINE)
_SIZES = {
    "cached": re.compile(r"^On-chip memory used for caching model parameters: ([\d.]+)(\w+)", re.MULTILINE),
    "left": re.compile(r"^On-chip memory remaining for caching model parameters: ([\d.]+)(\w+)", re.MULTILINE),
    "streamed": re.compile(r"^Off-chip memory used for streaming uncached model parameters: ([\d.]+)(\w+)", re.MULTILINE),
}


class LogRow(Section):
    """How many operators of one kind went the same way; `status` is the compiler's own word."""

    operator: str
    count: int
    status: str

    @property
    def where(self) -> Literal["tpu", "cpu"]:
        """Return where they run."""
        return "tpu" if self.status == MAPPED else "cpu"


class CompilerLog(Section):
    """What was printed; None where it was not."""

    version: str | None = None
    rows: tuple[LogRow, ...] = ()
    subgraphs: int | None = None
    # Bytes of parameters on the chip, bytes that are free there, and bytes that are streamed for every inference.
    cached: int | None = None
    left: int | None = None
    streamed: int | None = None


def parse_log(text: str) -> CompilerLog:
    """Return what a log says; lines of another form are passed over, as versions differ in them."""
    version, subgraphs = _VERSION.search(text), _SUBGRAPHS.search(text)
    return CompilerLog(
        version=version[1] if version else None,
        rows=tuple(LogRow(operator=found[1], count=int(found[2]), status=found[3]) for found in _ROW.finditer(text)),
        subgraphs=int(subgraphs[1]) if subgraphs else None,
        **{name: _bytes(pattern.search(text)) for name, pattern in _SIZES.items()},
    )


def _bytes(found: re.Match[str] | None) -> int | None:
    return None if found is None or found[2] not in UNITS else round(float(found[1]) * UNITS[found[2]])
