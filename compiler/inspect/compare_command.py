"""The command `compare`: how far the answers of two models lie apart, and what the second costs against the first."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import typer
from rich.console import Console

from compiler.errors import CompilerError, DataError, OptionError
from compiler.importers.shapes import parse_shapes
from compiler.inspect.answers import Ends, answers_of, ends_of
from compiler.inspect.artifacts import Artifact, runnable
from compiler.inspect.comparison import Comparison, compared
from compiler.inspect.engines import Arrays
from compiler.inspect.show import size, table
from contracts.preprocess import Preprocess

MAX_DATA_BYTES = 1 << 30
EPILOG = """[bold]Examples[/bold]

fieldfare compare model.onnx model.tflite

fieldfare compare float.onnx int8.tflite --data evaluation.npz --preprocess scale=0.0625 --json

fieldfare compare old.onnx new.onnx --max-difference 0.0001
"""


class TooFarApartError(CompilerError):
    """The answers differ by more than was allowed."""

    exit_status: ClassVar[int] = 1

    def __init__(self, output: str, allowed: float, found: float) -> None:
        super().__init__(f"output {output}: expected a difference of at most {allowed:g}, found {found:g}")


def compare_command(
    first: Annotated[Path, typer.Argument(metavar="A", help="An .onnx or .tflite file, or a bundle with one target.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="What is compared with it; formats may differ.")],
    data: Annotated[Path | None, typer.Option(help=".npz with x, or one array for each input; by default random.")] = None,
    preprocess: Annotated[str, typer.Option(help="From raw sample to input: 'scale=S,mean=M,std=D' is (x * S - M) / D.")] = "",
    samples: Annotated[int, typer.Option(min=1, max=100_000, help="How many samples are compared, at most.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Of the random samples.")] = 0,
    max_difference: Annotated[float | None, typer.Option(min=0.0, help="End with status 1 if outputs differ by more.")] = None,
    sizes: Annotated[list[str] | None, typer.Option("--shape", help="Sizes both models leave open: image=1x3x224x224.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")] = False,
) -> None:
    """Show how far the answers of two models lie apart, on given or random samples, and how size and latency compare.

    Integer inputs and outputs are compared as the real numbers that they stand for.
    """
    shapes = parse_shapes(sizes or ())
    pair = (_only(first), _only(second))
    ends = [ends_of(artifact, shapes, samples, seed) for artifact in pair]
    # Integers reach only so far: where one side has them, its own range is what both can take.
    chosen = next((one for one in ends if one.is_integer), ends[0])
    feed = chosen.samples if data is None else _read(data, ends[0], samples, Preprocess.parse(preprocess))
    answers = [answers_of(artifact, shapes, feed) for artifact in pair]
    comparison = compared(pair, answers, data, seed)
    typer.echo(comparison.model_dump_json(indent=2)) if as_json else _show(comparison)
    for output in comparison.outputs:
        if max_difference is not None and output.max_abs_difference > max_difference:
            raise TooFarApartError(output.output, max_difference, output.max_abs_difference)


def _only(source: Path) -> Artifact:
    artifacts = runnable(source, [])
    if len(artifacts) != 1:
        labels = ", ".join(f"{artifact.label}: {artifact.file}" for artifact in artifacts)
        raise OptionError("compare", str(source), "one model, or a bundle for one target", f"{len(artifacts)} ({labels})")
    return artifacts[0]


def _read(file: Path, ends: Ends, count: int, preprocess: Preprocess) -> Arrays:
    try:
        if file.stat().st_size > MAX_DATA_BYTES:
            raise DataError(str(file), "size", f"at most {MAX_DATA_BYTES} bytes", str(file.stat().st_size))
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(str(file), "content", "an .npz file of plain arrays", "a single array")
            wanted = ["x"] if len(ends.inputs) == 1 and "x" in archive else list(ends.inputs)
            if missing := [name for name in wanted if name not in archive]:
                raise DataError(str(file), "arrays", f"x, or one for each of {', '.join(ends.inputs)}", f"none named {missing[0]}")
            arrays = [archive[name][:count] for name in wanted]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(str(file), "content", "a whole .npz file of plain arrays", str(error)) from error
    if any(array.dtype.kind not in "fiub" or array.ndim < 1 or not len(array) or len(array) != len(arrays[0]) for array in arrays):
        raise DataError(str(file), "arrays", "numbers, as many samples in each", ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays))
    return {name: preprocess.apply(array) for name, array in zip(ends.inputs, arrays, strict=True)}


def _show(comparison: Comparison) -> None:
    console = Console()
    models = table("model", "runtime", "size>", "p50 ms>")
    for side in (comparison.first, comparison.second):
        models.add_row(side.file, side.runtime, size(side.bytes), f"{side.p50_ms:.3g}")
    models.add_row("B / A", "", f"{comparison.size_ratio:.2f}x", f"{comparison.latency_ratio:.2f}x")
    console.print(models)
    source = f"of {comparison.data}" if comparison.data else f"random, seed {comparison.seed}"
    rows = table("output", "largest difference>", "SQNR>", "cosine>", "same argmax>", title=f"{comparison.samples} samples {source}")
    for output in comparison.outputs:
        name = output.output if output.output == output.other_output else f"{output.output} / {output.other_output}"
        sqnr = "equal" if output.max_abs_difference == 0 else "unknown" if output.sqnr_db is None else f"{output.sqnr_db:.1f} dB"
        cosine = "unknown" if output.cosine is None else f"{output.cosine:.6f}"
        agreement = "" if output.argmax_agreement is None else f"{output.argmax_agreement:.1%}"
        rows.add_row(name, f"{output.max_abs_difference:.3g}", sqnr, cosine, agreement)
    console.print(rows)
    if comparison.data is None:
        console.print("Random samples are unlike real ones, and integers were not ranged for them: compare with --data.", highlight=False)
    console.print("Latency is that of one thread on this host.", highlight=False)
