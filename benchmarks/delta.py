"""How many bytes a fine-tuned network costs a device that holds the one before, and how long it takes: our delta beside its peers.

Peers: zstd with the old file as prefix, bsdiff4, and where they are installed detools (bsdiff, lzma) and xdelta3.
"""

from __future__ import annotations

import importlib.util
import io
import itertools
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from benchmarks.bars import Bar, finish, parser
from contracts.codec import sha256_of
from contracts.delta.encode import encode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Floats = npt.NDArray[np.float32]
# Standard deviation of each layer's change, as a share of that of its weights.
FINE_TUNED, HEAVILY = 0.01, 0.05
WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
CLASSES = 250
# In a process of its own: by how many bytes it grew, at most, beyond what it was before it applied a delta.
APPLY = r"""
import re, sys
from pathlib import Path
import numpy
from contracts.delta.apply import apply
base, delta, target, sha256 = sys.argv[1:]
def memory(field):
    return 1024 * int(re.search(field + r":\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
before = memory("VmRSS")
with open(base, "rb") as b, open(delta, "rb") as d, open(target, "w+b") as t:
    apply(b, d, t, sha256, 1 << 30)
print(memory("VmHWM") - before)
"""


@dataclass(frozen=True)
class Case:
    """One network before and after."""

    name: str
    base: bytes
    target: bytes


@dataclass(frozen=True)
class Result:
    """What one tool made of a case."""

    size: int
    cpu_s: float


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "").parse_args()
    rows: list[dict[str, str | float]] = []
    results: dict[str, dict[str, Result]] = {}
    growth_mb = 0.0
    for case in cases():
        found = results[case.name] = {tool: measured(make, case) for tool, make in tools(case.name).items()}
        applied_s, grown_bytes = applied(case)
        growth_mb = max(growth_mb, grown_bytes / 1e6)
        for tool, result in found.items():
            share: dict[str, str | float] = {"share of the file": result.size / len(case.target), "create CPU s": result.cpu_s}
            rows.append({"case": case.name, "tool": tool, **share, "apply s": applied_s if tool == "fieldfare" else "-"})
    # Noise of a twentieth is more than 0.70 of a float's bits: there no tool can reach that goal.
    bars = [size_bar(name, found) for name, found in results.items() if name != "fp32 all layers heavily"]
    speedups = [found["bsdiff4"].cpu_s / found["fieldfare"].cpu_s for found in results.values() if "bsdiff4" in found]
    bars.append(Bar("create_speedup", min(speedups, default=math.nan), ">=", 8, "x"))
    bars.append(Bar("apply_growth", growth_mb, "<=", 32, " MB"))
    finish("Deltas", rows, bars, arguments.json)


def size_bar(name: str, found: dict[str, Result]) -> Bar:
    """Compare our bytes with the best peer's."""
    best = min(result.size for tool, result in found.items() if tool != "fieldfare")
    goal = 0.95 if "head" in name else 0.70 if "fp32" in name else 0.93
    return Bar(f"size_ratio {name}", found["fieldfare"].size / best, "<=", goal)


def cases() -> Iterator[Case]:
    """Make a network in the manner of MobileNet, fine-tune it by noise, and write both in either precision."""
    chance = np.random.default_rng(1)
    base = network(chance)
    tuned = {
        "head only": [*base[:-1], moved(base[-1], HEAVILY, chance)],
        "all layers": [moved(each, FINE_TUNED, chance) for each in base],
        "all layers heavily": [moved(each, HEAVILY, chance) for each in base],
    }
    for precision, write in {"fp32": fp32, "int8": int8}.items():
        for name, layers in tuned.items():
            yield Case(f"{precision} {name}", model(write(base)), model(write(layers)))


def network(chance: np.random.Generator) -> list[Floats]:
    """Return weights of 3.5 million parameters; the spread of each output channel is its own."""
    shapes: list[tuple[int, ...]] = [(WIDTHS[0], 3, 3, 3)]
    for before, after in itertools.pairwise(WIDTHS):
        shapes += [(before, 1, 3, 3), (after, before, 1, 1)]
    shapes.append((CLASSES, WIDTHS[-1]))
    layers = []
    for shape in shapes:
        spread = math.sqrt(2 / math.prod(shape[1:])) * np.exp(chance.normal(0, 0.4, (shape[0],) + (1,) * (len(shape) - 1)))
        layers.append(chance.normal(0, 1, shape).astype(np.float32) * spread.astype(np.float32))
    return layers


def moved(weights: Floats, share: float, chance: np.random.Generator) -> Floats:
    """Fine-tune one layer."""
    return weights + chance.normal(0, share * float(weights.std()), weights.shape).astype(np.float32)


def fp32(layers: list[Floats]) -> Iterator[npt.NDArray[np.generic]]:
    """Write weights as they are."""
    yield from layers


def int8(layers: list[Floats]) -> Iterator[npt.NDArray[np.generic]]:
    """Write each layer as int8 with a scale for each output channel, calibrated anew."""
    for weights in layers:
        scale = np.abs(weights.reshape(len(weights), -1)).max(axis=1) / 127
        yield np.rint(weights / scale.reshape((-1,) + (1,) * (weights.ndim - 1))).astype(np.int8)
        yield scale.astype(np.float32)


def model(arrays: Iterator[npt.NDArray[np.generic]]) -> bytes:
    """Return an ONNX file that holds these weights."""
    constants = [numpy_helper.from_array(array, f"w{number}") for number, array in enumerate(arrays)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y], constants)
    return bytes(helper.make_model(graph).SerializeToString())


def tools(case: str) -> dict[str, Callable[[bytes, bytes], int]]:
    """Return what makes a delta here, each returning its bytes."""
    found: dict[str, Callable[[bytes, bytes], int]] = {
        "fieldfare": lambda base, target: len(encode(base, target)),
        "zstd prefix": zstd_prefix,
    }
    if importlib.util.find_spec("bsdiff4"):
        found["bsdiff4"] = bsdiff4
    # On floats that all changed it takes minutes, and finds no more than bsdiff4.
    if importlib.util.find_spec("detools") and not case.startswith("fp32 all"):
        found["detools"] = detools
    if shutil.which("xdelta3"):
        found["xdelta3"] = xdelta3
    return found


def fieldfare(base: bytes, target: bytes) -> int:
    """Ours."""
    return len(encode(base, target))


def zstd_prefix(base: bytes, target: bytes) -> int:
    """Zstandard at its best that is still quick, with the whole old file in reach."""
    key = zstd.CompressionParameter
    options: dict[int, int] = {key.compression_level: 19, key.window_log: 26, key.enable_long_distance_matching: 1}
    return len(zstd.compress(target, options=options, zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix))


def bsdiff4(base: bytes, target: bytes) -> int:
    """The classic."""
    import bsdiff4 as library

    return len(library.diff(base, target))


def detools(base: bytes, target: bytes) -> int:
    """Made for firmware; its best form."""
    import detools as library

    patch = io.BytesIO()
    library.create_patch(io.BytesIO(base), io.BytesIO(target), patch, compression="lzma")
    return len(patch.getvalue())


def xdelta3(base: bytes, target: bytes) -> int:
    """What most over-the-air updaters use."""
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder) / "old", Path(folder) / "new"
        old.write_bytes(base)
        new.write_bytes(target)
        return len(subprocess.run(["xdelta3", "-9", "-c", "-e", "-s", old, new], capture_output=True, check=True, timeout=600).stdout)


def measured(make: Callable[[bytes, bytes], int], case: Case) -> Result:
    """Run one tool."""
    began_s = time.process_time()
    size = make(case.base, case.target)
    return Result(size, time.process_time() - began_s)


def applied(case: Case) -> tuple[float, int]:
    """Apply our delta in a process of its own; return its seconds and by how many bytes it grew."""
    with tempfile.TemporaryDirectory() as folder:
        base, delta, target = (Path(folder) / name for name in ("base", "delta", "target"))
        base.write_bytes(case.base)
        delta.write_bytes(encode(case.base, case.target))
        command = [sys.executable, "-c", APPLY, str(base), str(delta), str(target), sha256_of(case.target)]
        began_s = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        seconds = time.monotonic() - began_s
        assert target.read_bytes() == case.target
        return seconds, int(done.stdout)


if __name__ == "__main__":
    main()
