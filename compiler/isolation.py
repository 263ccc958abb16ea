"""Runs a task in a process of its own: a library that crashes on a damaged file ends that process, and becomes a named error.

It also keeps what only one step needs, PyTorch above all, out of the compiler's memory, and lets memory be measured honestly.
"""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from compiler.errors import DataError, InputError, ModelError, OptionError

# Isolated from the folder it is started in, where a file named onnx.py may lie: it searches for modules where this process does.
PROGRAM = "import sys; sys.path[:] = sys.argv[1].split(chr(10)); from compiler.isolation import serve; serve(*sys.argv[2:])"
TAIL_BYTES = 4096
RELAYED = {kind.__name__: kind for kind in (DataError, ModelError, OptionError)}


def run_isolated(task: str, request: dict[str, Any], place: str, timeout_s: float) -> bytes:
    """Return what the function `module:name` makes of a request of JSON values; `place` is the file that errors name.

    Raises the task's own InputError, and ModelError when it crashes or takes longer than `timeout_s`.
    """
    with tempfile.TemporaryDirectory(prefix="fieldfare-") as folder:
        reply, complaints = Path(folder) / "reply", Path(folder) / "complaints"
        arguments = ["\n".join(sys.path), task, json.dumps(request), str(reply)]
        status = _run([sys.executable, "-I", "-c", PROGRAM, *arguments], complaints, place, timeout_s)
        if status != 0:
            raise ModelError(place, "content", "a model that its reader can work through", _ending(status, complaints))
        head, _, answer = reply.read_bytes().partition(b"\n")
    refusal = json.loads(head)
    if refusal is not None:
        kind, *parts = refusal
        raise RELAYED[kind](*parts)
    return answer


def serve(task: str, request: str, reply: str) -> None:
    """Be the process: write one line of JSON, null or a refusal's parts, and after null the answer."""
    module, _, function = task.partition(":")
    try:
        answer: bytes = getattr(importlib.import_module(module), function)(json.loads(request))
    except InputError as error:
        parts = (type(error).__name__, error.place, error.field, error.expected, error.found)
        Path(reply).write_text(json.dumps(parts) + "\n", encoding="utf-8")
    else:
        Path(reply).write_bytes(b"null\n" + answer)


def _run(command: list[str], complaints: Path, place: str, timeout_s: float) -> int:
    with complaints.open("wb") as stream:
        try:
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise ModelError(place, "content", f"a model that is worked through in {timeout_s:.0f} s", "one that takes longer") from error
    return ended.returncode


def _ending(status: int, complaints: Path) -> str:
    if status < 0:
        return f"one that crashes it ({signal.Signals(-status).name}); the file is damaged, or a library is at fault"
    lines = complaints.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip().splitlines()
    return f"one that ends it: {lines[-1] if lines else f'status {status}'}"
