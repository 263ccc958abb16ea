"""A stand-in for edgetpu_compiler: its documented command line, log and kind of result, as a program of its own on PATH.

It maps what comes before the first operator of an unsupported kind, as the real one does. Run as a program it reads its ways from
`ways.json` beside it; `install` puts it into a folder.
"""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

VERSION = "16.0.384591198"
MAPPED, UNSUPPORTED, SECOND = "Mapped to Edge TPU", "Operation not supported", "More than one subgraph is not supported"


def install(folder: Path, *, unsupported: tuple[str, ...] = (), mode: str = "works") -> Path:
    """Write the program into a folder, and return the folder; `mode` is works, fails, hangs, maps nothing, or writes nonsense."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "edgetpu_compiler"
    program.write_text(f"#!{sys.executable}\n{Path(__file__).read_text(encoding='utf-8')}", encoding="utf-8")
    program.chmod(0o755)
    (folder / "ways.json").write_text(json.dumps({"unsupported": unsupported, "mode": mode}), encoding="utf-8")
    return folder


def main() -> int:
    """Do what the command line asks."""
    ways = json.loads((Path(sys.argv[0]).resolve().parent / "ways.json").read_text(encoding="utf-8"))
    parser = ArgumentParser(prog="edgetpu_compiler")
    parser.add_argument("-s", "--show_operations", action="store_true")
    parser.add_argument("-t", "--timeout_sec", type=int, default=180)
    parser.add_argument("-o", "--out_dir", type=Path, default=Path())
    parser.add_argument("model", type=Path)
    asked = parser.parse_args()
    say(f"Edge TPU Compiler version {VERSION}")
    say(f"Started a compilation timeout timer of {asked.timeout_sec} seconds.")
    if ways["mode"] == "hangs":
        (Path(sys.argv[0]).resolve().parent / "pid").write_text(str(os.getpid()), encoding="utf-8")
        time.sleep(600)
    if ways["mode"] == "fails":
        say("Internal compiler error. Aborting! ")
        return 1
    compiled, statuses = partitioned(asked.model.read_bytes(), ways)
    (asked.out_dir / f"{asked.model.stem}_edgetpu.tflite").write_bytes(b"nonsense" if ways["mode"] == "writes nonsense" else compiled)
    print_log(asked.model, compiled, statuses, shows=asked.show_operations)
    return 0


def partitioned(raw: bytes, ways: dict[str, Any]) -> tuple[bytes, list[tuple[str, str]]]:
    """Return the compiled file, and each operator with its status."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(raw, 0)
    graph = model.subgraphs[0]
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    kinds = [names[codes[operator.opcodeIndex]] for operator in graph.operators]
    stop = next((place for place, kind in enumerate(kinds) if kind in ways["unsupported"]), len(kinds))
    stop = 0 if ways["mode"] == "maps nothing" else stop
    if stop:
        code, custom = schema.OperatorCodeT(), schema.OperatorT()
        code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "edgetpu-custom-op"
        model.operatorCodes.append(code)
        read = {place for operator in graph.operators[stop:] for place in operator.inputs} | set(graph.outputs)
        made = [place for operator in graph.operators[:stop] for place in operator.outputs]
        custom.opcodeIndex, custom.inputs = len(model.operatorCodes) - 1, list(graph.inputs)
        custom.outputs = [place for place in made if place in read]
        graph.operators = [custom, *graph.operators[stop:]]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    statuses = [MAPPED if place < stop else UNSUPPORTED if kind in ways["unsupported"] else SECOND for place, kind in enumerate(kinds)]
    return bytes(builder.Output()), list(zip(kinds, statuses, strict=True))


def print_log(source: Path, compiled: bytes, statuses: list[tuple[str, str]], *, shows: bool) -> None:
    """Print what version 16 prints."""
    on_tpu = sum(status == MAPPED for _, status in statuses)
    say(f"\nModel compiled successfully in 12 ms.\n\nInput model: {source.name}\nInput size: {source.stat().st_size / 1024:.2f}KiB")
    say(f"Output model: {source.stem}_edgetpu.tflite\nOutput size: {len(compiled) / 1024:.2f}KiB")
    say("On-chip memory used for caching model parameters: 36.50KiB")
    say("On-chip memory remaining for caching model parameters: 7.78MiB")
    say("Off-chip memory used for streaming uncached model parameters: 0.00B")
    say(f"Number of Edge TPU subgraphs: {int(on_tpu > 0)}\nTotal number of operations: {len(statuses)}")
    say(f"Operation log: {source.stem}_edgetpu.log")
    if on_tpu < len(statuses):
        say("\nModel successfully compiled but not all operations are supported by the Edge TPU.")
        say(f"Number of operations that will run on Edge TPU: {on_tpu}")
        say(f"Number of operations that will run on CPU: {len(statuses) - on_tpu}")
    if shows:
        say(f"\n{'Operator':<30} {'Count':<10} Status\n")
        for (kind, status), count in Counter(statuses).items():
            say(f"{kind:<30} {count:<10} {status}")
    say("Compilation child process completed within timeout period.\nCompilation succeeded! ")


def say(text: str) -> None:
    """Print at once, so that what ends early has been said."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
