"""Runs every model below a folder, on a device and on the host alike, through the agent's own runtimes; the answers go to one file.

`models/` holds published files, each with an .npz of its inputs in the file's own order; `bundles/` holds what fieldfare compiled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from agent.runtimes.installed import installed_runtimes
from agent.runtimes.loaders import LOADERS
from agent.runtimes.port import ModelSource
from agent.worker.golden import read_golden, run_golden
from agent.worker.model import Model
from contracts.agent_config import RuntimeSection
from contracts.bundle import read_bundle

INTERPRETERS = ("ai_edge_litert", "tflite_runtime")


def published(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield every output of every published model that a runtime here takes."""
    runtimes = installed_runtimes()
    runners = {".tflite": ("litert", by_interpreter), ".onnx": ("onnx", by_session)}
    for file in sorted(folder.iterdir()):
        runtime, run = runners.get(file.suffix, ("", by_session))
        if runtime in runtimes:
            with np.load(file.with_suffix(".npz")) as inputs:
                answers = run(file, dict(inputs))
            yield from ((f"{file.name}:{index}", answer) for index, answer in enumerate(answers))


def by_interpreter(file: Path, inputs: dict[str, Any]) -> list[Any]:
    """Return a .tflite file's outputs as they are, integers mostly."""
    package = next(name for name in INTERPRETERS if find_spec(name) is not None)
    interpreter = import_module(f"{package}.interpreter").Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    for detail, values in zip(interpreter.get_input_details(), inputs.values(), strict=True):
        interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def by_session(file: Path, inputs: dict[str, Any]) -> list[Any]:
    """Return an ONNX file's outputs."""
    answers: list[Any] = import_module("onnxruntime").InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(None, inputs)
    return answers


def compiled(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield what each artifact of each bundle answers to its golden set, and the reason why the device would refuse it, if any."""
    runtimes = installed_runtimes()
    for bundle in sorted(folder.iterdir()):
        manifest = read_bundle(bundle)
        for target, artifact in sorted(manifest.artifacts.items()):
            if artifact.runtime not in runtimes:
                continue
            source = ModelSource(bundle / artifact.file, artifact, target, threads=1, runtime=RuntimeSection(allow_cpu_fallback=True))
            model = Model(manifest, artifact, LOADERS[artifact.runtime](source))
            golden = read_golden(bundle, manifest, artifact)
            infer = partial(model.infer, count=1)
            yield f"{manifest.name}/{target}:refusal", run_golden(infer, golden, artifact.tolerance).reason
            answers = [infer(golden.sample(index)) for index in range(golden.samples)]
            for output in artifact.outputs:
                yield f"{manifest.name}/{target}:{output.name}", np.concatenate([answer[output.name] for answer in answers])


if __name__ == "__main__":
    _, folder, out = sys.argv
    np.savez(out, **dict(published(Path(folder) / "models")), **dict(compiled(Path(folder) / "bundles")))
