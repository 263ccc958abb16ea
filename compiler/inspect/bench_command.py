"""The command `bench`: latency and memory of a model on this host, by runtime and number of threads."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BaseModel
from rich.console import Console

from compiler.errors import ModelError, OptionError
from compiler.importers.shapes import parse_shapes
from compiler.inspect.artifacts import runnable
from compiler.inspect.engines import libraries_for
from compiler.inspect.show import size, table
from compiler.inspect.timing import Host, Timing, this_host, time_artifact

MAX_THREADS = 1024
EPILOG = """[bold]Examples[/bold]

fieldfare bench model.tflite

fieldfare bench model.onnx --threads 1 --threads 4 --runs 500 --json

fieldfare bench digits-1 --target rpi5
"""


class Bench(BaseModel, frozen=True, extra="forbid"):
    """The document: all rows were measured on `host`, one after the other, each in a process of its own."""

    schema_version: Literal[1] = 1
    source: str
    host: Host
    rows: tuple[Timing, ...]


def bench_command(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="An .onnx or .tflite file, or the folder of a bundle.")],
    target: Annotated[list[str] | None, typer.Option(help="Which artifact of a bundle, repeatable; by default all.")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="How many threads, repeatable; by default 1 and all cores.")] = None,
    runs: Annotated[int, typer.Option(min=1, max=1_000_000, help="Inferences to measure, of at most 30 s in all.")] = 200,
    sizes: Annotated[list[str] | None, typer.Option("--shape", help="Sizes the model leaves open: image=1x3x224x224.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")] = False,
) -> None:
    """Measure a model's latency and memory on this host.

    Inputs are random. What an accelerator or another processor makes of the model, only that device can tell.
    """
    host = this_host()
    counts = _threads(threads, host.cores)
    shapes = parse_shapes(sizes or ())
    rows = []
    for artifact in runnable(source, target or []):
        libraries = libraries_for(artifact.runtime)
        if not libraries:
            expected = "a runtime for it: pip install 'fieldfare[litert]'"
            raise ModelError(str(artifact.file), "runtime", expected, "none installed")
        rows += [time_artifact(artifact, library, count, runs, shapes) for library in libraries for count in counts]
    bench = Bench(source=str(source), host=host, rows=tuple(rows))
    typer.echo(bench.model_dump_json(indent=2)) if as_json else _show(bench)


def _threads(given: list[int] | None, cores: int) -> list[int]:
    for count in given or ():
        if not 1 <= count <= MAX_THREADS:
            raise OptionError("--threads", "count", f"1 to {MAX_THREADS}", str(count))
    return sorted(set(given or (1, cores)))


def _show(bench: Bench) -> None:
    host = bench.host
    console = Console()
    console.print(f"on this host: {host.cpu or host.machine}, {host.cores} cores, {host.machine}", highlight=False)
    for (artifact, runtime), group in groupby(bench.rows, key=lambda row: (row.artifact, row.runtime)):
        rows = table("threads>", "p50 ms>", "p95 ms>", "min ms>", "load ms>", "memory>", "model's>", title=f"{artifact} in {runtime}")
        for row in group:
            laps = (f"{value:.3g}" for value in (row.p50_ms, row.p95_ms, row.min_ms, row.load_ms))
            rows.add_row(str(row.threads), *laps, size(row.rss_bytes), size(row.model_rss_bytes))
        console.print(rows)
    runs = sorted({row.runs for row in bench.rows})
    console.print(f"{runs[0]:,} runs a row after warm-up. A device's own numbers come from the device.", highlight=False)
