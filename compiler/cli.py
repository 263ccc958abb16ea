"""The command `compile`: reads the options, shows progress, prints what every target lost."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from compiler.errors import OptionError
from compiler.evaluate.metrics import METRICS
from compiler.importers.shapes import parse_shapes
from compiler.inspect import bench_command, compare_command, inspect_command
from compiler.package.page import percent, points, size
from compiler.package.report import Report
from compiler.pipeline import compile_model
from compiler.recipe import Recipe, model_name
from compiler.targets import target_names
from contracts.preprocess import Preprocess

app = typer.Typer(rich_markup_mode="rich")
app.command("inspect", epilog=inspect_command.EPILOG)(inspect_command.inspect_command)
app.command("bench", epilog=bench_command.EPILOG)(bench_command.bench_command)
app.command("compare", epilog=compare_command.EPILOG)(compare_command.compare_command)
EPILOG = """[bold]Examples[/bold]

fieldfare compile digits.onnx --target cpu --target rpi5 --calibration calibration.npz --evaluation evaluation.npz
--preprocess scale=0.0625 --labels labels.txt -o digits-1

fieldfare compile kws.onnx --target jetson-orin --calibration calib.npz --evaluation eval.npz
--max-drop 0.005 --require-proof --release 2 -o kws-2 --json
"""


@app.command("compile", epilog=EPILOG)
def compile_command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The trained float model: .onnx, .tflite, .pt2, .keras or module:callable.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the bundle; an older bundle there is replaced.")],
    target: Annotated[list[str] | None, typer.Option(help=f"Device to compile for, repeatable: {', '.join(target_names())}.")] = None,
    calibration: Annotated[Path | None, typer.Option(help=".npz with x: samples that set the ranges of the numbers.")] = None,
    evaluation: Annotated[Path | None, typer.Option(help=".npz with x and y: other samples, and their class indexes.")] = None,
    metric: Annotated[str, typer.Option(help=f"What is measured: {' or '.join(METRICS)}.")] = "top1",
    max_drop: Annotated[float, typer.Option(help="How much of the metric may be lost; 0.01 is one point.")] = 0.01,
    require_proof: Annotated[bool, typer.Option("--require-proof", help="Refuse unless the samples prove the budget at 95 %.")] = False,
    preprocess: Annotated[str, typer.Option(help="From raw sample to input: 'scale=S,mean=M,std=D' is (x * S - M) / D.")] = "",
    name: Annotated[str | None, typer.Option(help="The model's name in the fleet; by default the file's.")] = None,
    release: Annotated[int, typer.Option(min=1, max=2**31 - 1, help="Counter of this release; it only ever grows.")] = 1,
    labels: Annotated[Path | None, typer.Option(help="Text file with one class name a line.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help="Sizes the model leaves open, repeatable: image=1x3x224x224.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the content of report.json, and nothing else.")] = False,
) -> None:
    """Compile a trained model for its targets, and prove what it lost.

    The bundle is written only if every target stays within the budget on the evaluation samples; otherwise the status is 1.
    """
    recipe = Recipe(
        model=model,
        calibration=_given("--calibration", calibration, ".npz file of samples; without them every scale would be a guess"),
        evaluation=_given("--evaluation", evaluation, ".npz file of labelled samples; without them nothing can be promised"),
        output=output.resolve(),
        targets=_targets(target),
        name=model_name(name, model),
        release=release,
        preprocess=Preprocess.parse(preprocess),
        metric=_metric(metric),
        max_drop=_budget(max_drop),
        require_proof=require_proof,
        labels=labels,
        shapes=parse_shapes(shape or ()),
    )
    report = _compile(recipe)
    if as_json:
        typer.echo(report.to_json(), nl=False)
    else:
        _show(report, output)


def _compile(recipe: Recipe) -> Report:
    """Run the pipeline under a progress bar on stderr, so that stdout holds the result alone."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        return compile_model(recipe, progress)


def _given(option: str, file: Path | None, expected: str) -> Path:
    if file is None:
        raise OptionError(option, "file", f"an {expected}", "no such option")
    return file


def _targets(names: list[str] | None) -> tuple[str, ...]:
    if not names:
        raise OptionError("--target", "name", f"at least one of {', '.join(target_names())}", "no such option")
    return tuple(dict.fromkeys(names))


def _metric(name: str) -> str:
    if name not in METRICS:
        raise OptionError("--metric", "name", " or ".join(METRICS), repr(name))
    return name


def _budget(max_drop: float) -> float:
    if not (math.isfinite(max_drop) and 0 <= max_drop < 1):
        raise OptionError("--max-drop", "share", "0 or more and less than 1, such as 0.01 for one point", f"{max_drop:g}")
    return max_drop


_VERDICT_STYLE = {"proven": "bold green", "unproven": "bold yellow", "failed": "bold red"}


def _show(report: Report, output: Path) -> None:
    """Print one row for each target, and what the verdicts mean for the reader."""
    title = f"{report.name}, release {report.release}: {report.evaluation.samples} samples, budget {100 * report.max_drop:.2f} points"
    table = Table(title=title, box=SIMPLE_HEAD)
    table.add_column("target", no_wrap=True)
    for heading in ("size", "float", "compiled", "drop", "at most"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name, target in report.targets.items():
        metric = target.metric
        values = (percent(metric.before), percent(metric.compiled), points(metric.drop), points(metric.drop_upper))
        table.add_row(name, size(target.bytes), *values, Text(target.verdict, style=_VERDICT_STYLE[target.verdict]))
    console = Console()
    console.print(table)
    for name, target in report.targets.items():
        if target.verdict == "unproven" and target.samples_for_proof:
            wanted = f"about {target.samples_for_proof:,} would"
            console.print(f"{name}: within the budget, but {target.metric.n:,} samples do not prove it; {wanted}.", highlight=False)
    for note in report.notes:
        console.print(f"note: {note}.", soft_wrap=True, highlight=False)
    console.print(f"bundle: {output}", soft_wrap=True, highlight=False)
