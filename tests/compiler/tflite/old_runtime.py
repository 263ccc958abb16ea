"""Runs in the environment of the older runtime: loads each file, runs it, and says how far its answers lie from the ones recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tflite_runtime.interpreter import Interpreter


def steps_apart(file: Path) -> float:
    """Return the largest distance, in int8 steps or relative to the largest float."""
    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    with np.load(file.with_suffix(".npz")) as recorded:
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], recorded["input:" + detail["name"]])
        interpreter.invoke()
        worst = 0.0
        for detail in interpreter.get_output_details():
            found, expected = (
                array.astype(np.float64) for array in (interpreter.get_tensor(detail["index"]), recorded["output:" + detail["name"]])
            )
            unit = 1.0 if detail["quantization"][0] else max(float(np.abs(expected).max()), 1e-9)
            worst = max(worst, float(np.abs(found - expected).max()) / unit)
    return worst


def verdict(file: Path) -> str:
    """Return the distance, or the runtime's own words where it refuses the file."""
    try:
        return str(steps_apart(file))
    except (RuntimeError, ValueError) as error:
        return " ".join(str(error).split())


if __name__ == "__main__":
    sys.stdout.writelines(f"{each.stem}\t{verdict(each)}\n" for each in sorted(Path(sys.argv[1]).glob("*.tflite")))
