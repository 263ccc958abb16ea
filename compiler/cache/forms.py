"""The forms in which results are remembered: bytes that say all of a result, and nothing that could run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

import numpy as np
import onnx
from pydantic import TypeAdapter

from compiler.cache.memory import Step
from compiler.cache.packed import packed, unpacked
from compiler.evaluate.bootstrap import Estimate
from compiler.evaluate.datasets import DIGEST_BYTES, Samples
from compiler.evaluate.examination import Record
from compiler.evaluate.intervals import Interval
from compiler.evaluate.metrics import Metric
from compiler.evaluate.port import Array, Source
from compiler.graph.interface import Interface
from compiler.package.golden import Closeness
from compiler.quantize.calibrate import Calibration
from compiler.quantize.plan import Plan
from compiler.sqnr.measure import Measured
from contracts.codec import Json
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec

_MEASURED = TypeAdapter(Measured)


def described(tensors: Iterable[TensorSpec]) -> list[Json]:
    """Return tensors' names, datatypes and shapes."""
    return [spec.model_dump(mode="json") for spec in tensors]


def graph_step(name: str) -> Step[onnx.ModelProto]:
    """Return a step that makes a graph."""
    return Step(name, lambda model: bytes(model.SerializeToString(deterministic=True)), onnx.load_model_from_string)


def file_step(name: str) -> Step[bytes]:
    """Return a step that makes a file."""
    return Step(name, bytes, bytes)


def closeness_step() -> Step[Closeness]:
    """Return the step that compares two executions of a target's file."""

    def pack(found: Closeness) -> bytes:
        return packed({"absolute": found.absolute, "steps": dict(found.steps)}, {"is_steady": found.is_steady})

    def unpack(raw: bytes) -> Closeness:
        found = unpacked(raw)
        return Closeness(float(found.values["absolute"]), dict(found.values["steps"]), found.arrays["is_steady"].astype(bool))

    return Step("tolerance", pack, unpack)


def arrays_step(name: str) -> Step[Mapping[str, Array]]:
    """Return a step that makes arrays."""
    return Step(name, lambda arrays: packed({}, arrays), lambda raw: unpacked(raw).arrays)


def survey_step(source: Source, interface: Interface, preprocess: Preprocess) -> Step[Samples]:
    """Return the step that looks through a source."""

    def pack(samples: Samples) -> bytes:
        digests = np.frombuffer(b"".join(samples.digests), np.uint8).reshape(-1, DIGEST_BYTES)
        classes = {} if samples.classes is None else {"classes": samples.classes}
        labels = {"has_labels": samples.has_labels, "labels_digest": samples.labels_digest.hex()}
        return packed({"raw": described(samples.raw), **labels}, {"usual": samples.usual, "digests": digests, **classes})

    def unpack(raw: bytes) -> Samples:
        found = unpacked(raw)
        digests = tuple(row.tobytes() for row in found.arrays["digests"])
        return Samples(
            source=source,
            interface=interface,
            preprocess=preprocess,
            count=len(digests),
            raw=tuple(TensorSpec(**spec) for spec in found.values["raw"]),
            usual=found.arrays["usual"],
            has_labels=bool(found.values["has_labels"]),
            classes=found.arrays.get("classes"),
            digests=digests,
            labels_digest=bytes.fromhex(found.values["labels_digest"]),
        )

    return Step("samples", pack, unpack)


def estimate_step() -> Step[Estimate]:
    """Return the step that resamples."""

    def pack(found: Estimate) -> bytes:
        return packed(asdict(found), {})

    def unpack(raw: bytes) -> Estimate:
        found = unpacked(raw).values
        return Estimate(
            float_value=found["float_value"],
            float_interval=Interval(**found["float_interval"]),
            compiled_value=found["compiled_value"],
            compiled_interval=Interval(**found["compiled_interval"]),
            drop=found["drop"],
            drop_interval=Interval(**found["drop_interval"]),
        )

    return Step("intervals", pack, unpack)


def calibration_step() -> Step[Calibration]:
    """Return the step that plans."""

    def pack(calibration: Calibration) -> bytes:
        plan = calibration.plan.model_dump(mode="json")
        return packed({"plan": plan, "calibrator": calibration.calibrator, "scores": dict(calibration.scores)}, {})

    def unpack(raw: bytes) -> Calibration:
        values = unpacked(raw).values
        return Calibration(Plan(**values["plan"]), str(values["calibrator"]), values["scores"])

    return Step("calibration", pack, unpack)


def layers_step() -> Step[Measured]:
    """Return the step that measures layers."""
    return Step("layers", lambda measured: bytes(_MEASURED.dump_json(measured)), _MEASURED.validate_json)


def record_step(metric: Metric) -> Step[Record]:
    """Return the step that puts a model before the samples."""

    def pack(record: Record) -> bytes:
        columns = {f"tally {name}": np.frombuffer(column, column.typecode) for name, column in record.tally.columns.items()}
        decisions = {} if record.decisions is None else {"decisions": record.decisions}
        kept = {f"kept {name}": np.stack([outputs[name] for outputs in record.candidates]) for name in record.candidates[0]}
        return packed({"version": record.version, "latency_ms": record.latency_ms}, {**columns, **decisions, **kept})

    def unpack(raw: bytes) -> Record:
        found = unpacked(raw)
        tally = metric.begin()
        for name, column in tally.columns.items():
            column.frombytes(found.arrays[f"tally {name}"].astype(column.typecode, copy=False).tobytes())
        kept = {name.removeprefix("kept "): array for name, array in found.arrays.items() if name.startswith("kept ")}
        candidates = tuple({name: array[place] for name, array in kept.items()} for place in range(len(next(iter(kept.values())))))
        return Record(str(found.values["version"]), tally, found.arrays.get("decisions"), candidates, float(found.values["latency_ms"]))

    return Step("evaluation", pack, unpack)
