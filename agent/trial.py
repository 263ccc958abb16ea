"""Runs a release once beside the worker that serves it, to prove or to time it: `python -m agent.trial '<order as JSON>'`.

Its last line on standard output is the answer; what the runtime tells meanwhile goes to standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic, perf_counter

from agent.core.engines import DEVICE_FOLDER, ENGINE_LINK
from agent.core.trial import Proved, Timed, TrialAnswer, TrialOrder, nearest_rank
from agent.leash import leash
from agent.worker.bounds import bind
from agent.worker.preparation import Order, Warm, load_warm, proven
from contracts import codec
from contracts.errors import FieldfareError

MAX_ORDER_BYTES = 64 * 1024
# A model that takes a second is not run ten thousand times.
MAX_TIMING_S = 240.0
MAX_LETTERS = 1000


def run(order: TrialOrder) -> TrialAnswer:
    """Load the model as a worker does, and put it to the trial."""
    folder = Path(order.release_dir)
    engine_dir = folder / DEVICE_FOLDER / ENGINE_LINK
    known = engine_dir if engine_dir.is_dir() else None
    warm = load_warm(Order(order.model, folder, order.target, order.threads, order.runtime, known))
    return _prove(warm, folder) if order.kind == "golden" else _time(warm, order.runs)


def _prove(warm: Warm, folder: Path) -> Proved:
    verdict, runtime = proven(warm.model, warm.golden, folder), warm.model.runtime
    return Proved(
        runtime=f"{runtime.name} {runtime.version}",
        provider=runtime.provider,
        passed=verdict.passed,
        samples=verdict.samples,
        error=verdict.error,
        tolerance=warm.model.artifact.tolerance.absolute,
        reason=verdict.reason[:MAX_LETTERS],
    )


def _time(warm: Warm, runs: int) -> Timed:
    model, golden = warm.model, warm.golden
    taken_ms: list[float] = []
    end_s = monotonic() + MAX_TIMING_S
    while len(taken_ms) < runs and (not taken_ms or monotonic() < end_s):
        sample = golden.sample(len(taken_ms) % golden.samples)
        began_s = perf_counter()
        model.infer(sample, count=1)
        taken_ms.append(1000 * (perf_counter() - began_s))
    taken_ms.sort()
    return Timed(
        runtime=f"{model.runtime.name} {model.runtime.version}",
        provider=model.runtime.provider,
        precision=model.artifact.precision,
        runs=len(taken_ms),
        mean_ms=sum(taken_ms) / len(taken_ms),
        p50_ms=nearest_rank(taken_ms, 0.50),
        p95_ms=nearest_rank(taken_ms, 0.95),
    )


def main() -> int:
    """Run one trial; statuses: 0 answered, otherwise that of the error."""
    try:
        raw = sys.argv[1].encode() if len(sys.argv) == 2 else b""
        order = codec.decode(TrialOrder, raw, name="order", max_bytes=MAX_ORDER_BYTES)
        bind(order.data_bytes)
        answer = run(order)
    except FieldfareError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    sys.stdout.write(answer.model_dump_json() + "\n")
    return 0


if __name__ == "__main__":
    leash()
    sys.exit(main())
