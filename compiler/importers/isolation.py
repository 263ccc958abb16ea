"""Runs an importer in a process of its own: a library that crashes on a damaged file ends that process, and becomes a named error.

It also keeps what only imports need, PyTorch above all, out of the compiler's memory.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx

from compiler.errors import ModelError
from compiler.importers.shapes import Shapes

TIMEOUT_S = 900.0
# Isolated from the folder it is started in, where a file named onnx.py may lie: it searches for modules where this process does.
PROGRAM = "import sys; sys.path[:] = sys.argv[1].split(chr(10)); from compiler.importers.child import main; main(sys.argv[2:])"
TAIL_BYTES = 4096


def import_model(source: str, shapes: Shapes) -> onnx.ModelProto:
    """Return the float graph of a file, a SavedModel folder or `module:callable`: batch 1, static shapes.

    `shapes` settles by input name what the source leaves open. What the importer had to remark: `importers.notes.notes_of`.
    Raises ModelError naming source, place, what was expected and found.
    """
    with tempfile.TemporaryDirectory(prefix="fieldfare-import-") as folder:
        reply, complaints = Path(folder) / "reply", Path(folder) / "complaints"
        arguments = [str(reply), source, json.dumps({name: list(shape) for name, shape in shapes.items()})]
        with complaints.open("wb") as stream:
            status = _run([sys.executable, "-I", "-c", PROGRAM, "\n".join(sys.path), *arguments], stream.fileno(), source)
        if status != 0:
            raise ModelError(source, "content", "a model that its reader can work through", _ending(status, complaints))
        return _answer(reply.read_bytes())


def _run(command: list[str], complaints: int, source: str) -> int:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints, timeout=TIMEOUT_S, check=False
        ).returncode
    except subprocess.TimeoutExpired as error:
        raise ModelError(source, "content", f"a model that is read within {TIMEOUT_S:.0f} s", "one that takes longer") from error


def _answer(raw: bytes) -> onnx.ModelProto:
    head, _, model = raw.partition(b"\n")
    refusal = json.loads(head)
    if refusal is not None:
        raise ModelError(*refusal)
    return onnx.load_model_from_string(model)


def _ending(status: int, complaints: Path) -> str:
    if status < 0:
        return f"one that crashes it ({signal.Signals(-status).name}); the file is damaged, or a library is at fault"
    lines = complaints.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip().splitlines()
    return f"one that ends it: {lines[-1] if lines else f'status {status}'}"
