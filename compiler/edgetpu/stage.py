"""The last stage for a Coral: predict, compile where the compiler is installed, and say which of it happened."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.edgetpu.document import EdgeTpuPrediction, prediction_of
from compiler.edgetpu.log import CompilerLog
from compiler.edgetpu.score import Agreement, agreement
from compiler.edgetpu.tool import SOURCE, TIMEOUT_S, compile_file
from compiler.importers.tflite.flatbuffer import read_flat
from compiler.package.section import Section
from contracts.manifest import EdgeTpuOutcome


class EdgeTpuReport(Section):
    """What was predicted, and what came of compiling; the gate judged the int8 file either way, for a compiled one runs nowhere else."""

    prediction: EdgeTpuPrediction
    outcome: EdgeTpuOutcome
    # Why it was not compiled, and how it can be.
    reason: str | None = None
    log: CompilerLog | None = None
    agreement: Agreement | None = None

    def told(self) -> str:
        """Say in a sentence which file is shipped."""
        if self.outcome == "compiled":
            version = self.log.version if self.log else None
            return f"compiled by edgetpu_compiler {version or 'of unknown version'}; the int8 file that the gate judged is kept beside it"
        return f"not compiled for the Edge TPU, the int8 file is shipped as it is ({self.reason})"


@dataclass(frozen=True)
class Finished:
    """The file to ship, and the report; `judged` is the int8 file where another one is shipped."""

    shipped: bytes
    judged: bytes | None
    report: EdgeTpuReport


def finish(model: bytes, timeout_s: float = TIMEOUT_S) -> Finished:
    """Return what becomes of a judged int8 file."""
    prediction, run = prediction_of(read_flat(model, SOURCE)), compile_file(model, timeout_s)
    log = run.log if run.log != CompilerLog() else None
    report = EdgeTpuReport(
        prediction=prediction, outcome=run.outcome, reason=run.reason, log=log, agreement=agreement(prediction, log) if log else None
    )
    return Finished(run.file or model, model if run.file else None, report)
