"""Runs edgetpu_compiler where the user has installed it: in a folder of its own, for a bounded time, and with nothing but its file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from compiler.edgetpu.log import CompilerLog, parse_log
from compiler.edgetpu.oracle import COMPILED
from compiler.errors import ModelError
from compiler.importers.tflite.flatbuffer import FlatModel, read_flat
from contracts.manifest import EdgeTpuOutcome

PROGRAM = "edgetpu_compiler"
# Its licence forbids to pass it on and to offer it as a service, so that only the user can install it.
INSTALL = (
    f"{PROGRAM} is not installed: on x86-64 Debian or Ubuntu add Google's package source coral-edgetpu-stable "
    "(coral.ai/docs/edgetpu/compiler), install edgetpu-compiler, and compile once more"
)
# Of the search inside, by its own option; the process as a whole gets a little longer.
SEARCH_S, TIMEOUT_S = 180, 240.0
MAX_LOG_BYTES = 1 << 20
SOURCE, RESULT = "model.tflite", "model_edgetpu.tflite"


@dataclass(frozen=True)
class ToolRun:
    """What came of it: `file` is there when it compiled, `reason` when it did not."""

    outcome: EdgeTpuOutcome
    reason: str | None = None
    log: CompilerLog = field(default_factory=CompilerLog)
    file: bytes | None = None


def compile_file(model: bytes, timeout_s: float = TIMEOUT_S) -> ToolRun:
    """Compile an int8 file by the program on PATH; whatever goes wrong is an outcome, as the int8 file serves by itself."""
    program = shutil.which(PROGRAM)
    if program is None:
        return ToolRun("not-installed", INSTALL)
    with tempfile.TemporaryDirectory(prefix="fieldfare-edgetpu-") as scratch:
        folder = Path(scratch)
        (folder / SOURCE).write_bytes(model)
        status = _run([program, "-s", "-t", str(SEARCH_S), "-o", scratch, SOURCE], folder, timeout_s)
        with (folder / "printed").open("rb") as stream:
            printed = stream.read(MAX_LOG_BYTES).decode(errors="replace")
        log = parse_log(printed)
        if status is None:
            return ToolRun("timed-out", f"it was ended after {timeout_s:.0f} s", log)
        if status != 0 or not (folder / RESULT).is_file():
            return ToolRun("failed", f"status {status}: {_last_line(printed)}", log)
        return _checked(model, (folder / RESULT).read_bytes(), log)


def _run(command: list[str], folder: Path, timeout_s: float) -> int | None:
    """Return the exit status, None past the deadline; then the whole group is ended, as the program has a child that compiles."""
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
    with (folder / "printed").open("wb") as stream:
        try:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )
        except OSError as error:
            stream.write(f"cannot be started: {error}\n".encode())
            return -1
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None


def _checked(model: bytes, compiled: bytes, log: CompilerLog) -> ToolRun:
    """Take only a file that takes and gives what the int8 file does, and in which something was mapped."""
    try:
        before, after = read_flat(model, SOURCE), read_flat(compiled, RESULT)
    except ModelError as error:
        return ToolRun("failed", str(error), log)
    if _ends(before) != _ends(after):
        return ToolRun("failed", f"inputs and outputs: expected {_ends(before)}, found {_ends(after)}", log)
    if not any(operator.name == COMPILED for operator in after.operators):
        return ToolRun("nothing-mapped", "no operator of it could be mapped", log)
    return ToolRun("compiled", None, log, compiled)


def _ends(model: FlatModel) -> list[tuple[str, str, tuple[int, ...]]]:
    tensors = [model.tensors[place] for place in (*model.inputs, *model.outputs)]
    return [(tensor.name, tensor.datatype, tensor.shape) for tensor in tensors]


def _last_line(printed: str) -> str:
    lines = [line for line in printed.splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else "it printed nothing"
