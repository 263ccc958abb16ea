"""The command `compile`: reads the options, shows progress, prints what every target lost."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from compiler.cache.folder import FolderStore, default_folder
from compiler.cache.memory import Done, Memory
from compiler.cache.port import Nowhere, Store
from compiler.costs import in_words
from compiler.edgetpu.document import sentences
from compiler.errors import OptionError
from compiler.evaluate.metrics import METRICS
from compiler.folds import MAX_FOLDS, MIN_FOLDS
from compiler.importers.shapes import parse_shapes
from compiler.inspect import bench_command, compare_command, inspect_command
from compiler.package.layers import in_short, worst_layers
from compiler.package.words import budget, change, flips, size, value
from compiler.pipeline import Compiled, compile_model
from compiler.quantize.calibrate import AUTO, CALIBRATOR_NAMES
from compiler.recipe import Recipe, model_name
from compiler.targets import target_names
from contracts.postprocess import parse_postprocess
from contracts.preprocess import Preprocess

PLACES = "an .npz with x, a folder of images, or module:callable that yields samples"
PREPROCESS_HELP = (
    "From raw sample to input: 'scale=S,mean=M,std=D' is (x * S - M) / D; mean and std may be one a channel, as mean=0.5:0.4:0.3; "
    "for images resize=HxW or resize=SHORTER, letterbox=VALUE (keeps the shape, fills the border), kernel, crop=HxW, channels=BGR, "
    "layout=CHW."
)
FOLDS_HELP = (
    "Where data are few: --evaluation serves both purposes in so many parts; each part is judged by plans made without it, "
    "and what ships is calibrated on all."
)
POSTPROCESS_HELP = (
    "From outputs to result: 'softmax,threshold=T', or 'boxes=yolov8,size=HxW,threshold=T,overlap=I,limit=N' "
    "(also yolov5, grid and corners)."
)

COSTS_HELP = "What `fieldfare device costs -o FILE` wrote: the times of earlier releases on real devices are shown beside this one."
DEFAULT_CACHE = "$XDG_CACHE_HOME/fieldfare/compile"
MAX_NAMED_STEPS = 8

app = typer.Typer(rich_markup_mode="rich")
app.command("inspect", epilog=inspect_command.EPILOG)(inspect_command.inspect_command)
app.command("bench", epilog=bench_command.EPILOG)(bench_command.bench_command)
app.command("compare", epilog=compare_command.EPILOG)(compare_command.compare_command)
EPILOG = """[bold]Examples[/bold]

fieldfare compile digits.onnx --target cpu --target rpi5 --calibration calibration.npz --evaluation evaluation.npz
--preprocess scale=0.0625 --labels labels.txt -o digits-1

fieldfare compile kws.onnx --target jetson-orin --calibration calib.npz --evaluation eval.npz
--max-drop 0.005 --require-proof --release 2 -o kws-2 --json

fieldfare compile kws.onnx --target coral --evaluation recorded.npz --folds 5 -o kws-3

fieldfare compile photos.onnx --target rpi5 --calibration photos/ --evaluation labelled/ --declared 0.71
--preprocess resize=256,crop=224x224,scale=0.00392157,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,layout=CHW -o photos-1
"""


@app.command("compile", epilog=EPILOG)
def compile_command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The trained float model: .onnx, .tflite, .pt2, .keras or module:callable.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the bundle; an older bundle there is replaced.")],
    target: Annotated[list[str] | None, typer.Option(help=f"Device to compile for, repeatable: {', '.join(target_names())}.")] = None,
    calibration: Annotated[str | None, typer.Option(help=f"Samples that set the ranges of the numbers: {PLACES}.")] = None,
    evaluation: Annotated[str | None, typer.Option(help="Other samples, with labels: y in the .npz, labels.csv in the folder.")] = None,
    folds: Annotated[int | None, typer.Option(min=MIN_FOLDS, max=MAX_FOLDS, help=FOLDS_HELP)] = None,
    calibrator: Annotated[str, typer.Option(help=f"What sets the ranges: {' or '.join(CALIBRATOR_NAMES)}.")] = AUTO,
    metric: Annotated[str, typer.Option(help=f"What is measured: {', '.join(METRICS)}, or module:function.")] = "top1",
    declared: Annotated[float | None, typer.Option(help="What the float model is said to reach; checked before anything else.")] = None,
    max_drop: Annotated[float, typer.Option(help="How much of the metric may be lost; 0.01 is one point.")] = 0.01,
    require_proof: Annotated[bool, typer.Option("--require-proof", help="Refuse unless the samples prove the budget at 95 %.")] = False,
    preprocess: Annotated[str, typer.Option(help=PREPROCESS_HELP)] = "",
    postprocess: Annotated[str, typer.Option(help=POSTPROCESS_HELP)] = "",
    name: Annotated[str | None, typer.Option(help="The model's name in the fleet; by default the file's.")] = None,
    release: Annotated[int, typer.Option(min=1, max=2**31 - 1, help="Counter of this release; it only ever grows.")] = 1,
    labels: Annotated[Path | None, typer.Option(help="Text file with one class name a line.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help="Sizes the model leaves open, repeatable: image=1x3x224x224.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the content of report.json, and nothing else.")] = False,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help=f"Folder that remembers steps; by default {DEFAULT_CACHE}.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Do every step again, and remember none.")] = False,
    costs: Annotated[Path | None, typer.Option(metavar="FILE", help=COSTS_HELP, exists=True, dir_okay=False)] = None,
) -> None:
    """Compile a trained model for its targets, and prove what it lost.

    The bundle is written only if every target stays within the budget on the evaluation samples; otherwise the status is 1.
    """
    recipe = Recipe(
        model=model,
        calibration=_calibration(calibration, evaluation, folds),
        evaluation=_given("--evaluation", evaluation, "without samples and their labels nothing can be promised"),
        output=output.resolve(),
        targets=_targets(target),
        name=model_name(name, model),
        release=release,
        preprocess=Preprocess.parse(preprocess),
        postprocess=parse_postprocess(postprocess),
        metric=metric,
        declared=_finite(declared),
        max_drop=_budget(max_drop, metric),
        require_proof=require_proof,
        labels=labels,
        calibrator=_one_of("--calibrator", CALIBRATOR_NAMES, calibrator),
        folds=folds,
        shapes=parse_shapes(shape or ()),
        costs=costs,
    )
    compiled = _compile(recipe, _store(cache, is_off=no_cache))
    if as_json:
        typer.echo(compiled.report.to_json(), nl=False)
    else:
        _show(compiled, output)


def _store(cache: Path | None, *, is_off: bool) -> Store:
    if is_off:
        if cache is not None:
            raise OptionError("--cache", str(cache), "--cache or --no-cache", "both")
        return Nowhere()
    return FolderStore((cache or default_folder()).absolute(), lambda complaint: typer.echo(f"warning: {complaint}", err=True))


def _compile(recipe: Recipe, store: Store) -> Compiled:
    """Run the pipeline under a progress bar on stderr, so that stdout holds the result alone."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        return compile_model(recipe, Memory(store), progress)


def _given(option: str, place: str | None, why: str) -> str:
    if place is None:
        raise OptionError(option, "samples", PLACES, f"none; {why}")
    return place


def _calibration(place: str | None, evaluation: str | None, folds: int | None) -> str:
    """Return where the samples are that set the ranges: with folds those of the evaluation, and no others."""
    if folds is None:
        return _given("--calibration", place, "every scale would be a guess; where all samples are needed to judge, give --folds 5")
    if place is not None:
        raise OptionError("--calibration", "samples", f"none with --folds {folds}, for --evaluation serves both purposes", place)
    return _given("--evaluation", evaluation, "without samples and their labels nothing can be promised")


def _targets(names: list[str] | None) -> tuple[str, ...]:
    if not names:
        raise OptionError("--target", "name", f"at least one of {', '.join(target_names())}", "none")
    return tuple(dict.fromkeys(names))


def _finite(declared: float | None) -> float | None:
    if declared is not None and not math.isfinite(declared):
        raise OptionError("--declared", "value", "a finite number, such as 0.90", f"{declared:g}")
    return declared


def _one_of(option: str, names: Collection[str], name: str) -> str:
    if name not in names:
        raise OptionError(option, "name", " or ".join(names), repr(name))
    return name


def _budget(max_drop: float, metric: str) -> float:
    is_share = metric in METRICS and METRICS[metric].is_share
    if not (math.isfinite(max_drop) and max_drop >= 0 and (max_drop < 1 or not is_share)):
        expected = "0 or more and less than 1, such as 0.01 for one point" if is_share else "0 or more, in the metric's own unit"
        raise OptionError("--max-drop", "share" if is_share else "value", expected, f"{max_drop:g}")
    return max_drop


_VERDICT_STYLE = {"proven": "bold green", "unproven": "bold yellow", "failed": "bold red"}


def _show(compiled: Compiled, output: Path) -> None:
    """Print one row for each target, and what the verdicts mean for the reader."""
    report = compiled.report
    first = next(iter(report.targets.values())).metric
    title = f"{report.name}, release {report.release}: {first.name} on {first.n:,} samples, budget {budget(report.max_drop, first.unit)}"
    table = Table(title=title, box=SIMPLE_HEAD)
    table.add_column("target", no_wrap=True)
    for heading in ("size", "float", "compiled", "drop", "at most"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name, target in report.targets.items():
        metric = target.metric
        values = (value(metric.before, metric.unit), value(metric.compiled, metric.unit))
        drops = (change(metric.drop, metric.unit), change(metric.drop_upper, metric.unit))
        table.add_row(name, size(target.bytes), *values, *drops, Text(target.verdict, style=_VERDICT_STYLE[target.verdict]))
    console = Console()
    console.print(table)
    for line in _remarks(compiled):
        console.print(line, highlight=False)
    console.print(f"bundle: {output}; all of this to look at: {output / 'report.html'}", soft_wrap=True, highlight=False)
    console.print(f"next: fieldfare release add {shlex.quote(str(output))}", soft_wrap=True, highlight=False)


def _recalled(steps: Sequence[Done]) -> str:
    """Say how much need not be done again, and what had to be where that is little."""
    anew = [f"{done.step} {done.subject}".strip() for done in steps if not done.is_earlier]
    but = f"; done now: {', '.join(anew)}" if 0 < len(anew) <= MAX_NAMED_STEPS else ""
    return f"from the cache: {len(steps) - len(anew)} of {len(steps)} steps{but}."


def _remarks(compiled: Compiled) -> Iterator[str]:
    report = compiled.report
    smaller = ", ".join(f"{name} {report.model.bytes / target.bytes:.1f}x smaller" for name, target in report.targets.items())
    yield f"{report.model.name} has {size(report.model.bytes)}: {smaller}."
    if next(iter(report.targets.values())).metric.truth == "float":
        yield "Nothing is labelled: what is measured is how closely the float model's own outputs are met, not how right they are."
    if report.folds:
        yield f"Judged in {report.folds} folds: each sample by a plan that never saw it; what ships is calibrated on all of them."
    for name, target in report.targets.items():
        if target.verdict == "unproven" and target.samples_for_proof:
            wanted = f"about {target.samples_for_proof:,} would"
            yield f"{name}: within the budget, but {target.metric.n:,} samples do not prove it; {wanted}."
        if target.flips and target.flips.changed:
            yield f"{name}: {flips(target.flips)}."
        for layer in worst_layers(target.layers)[:1]:
            yield f"{name}: worst layer {in_short(layer)}."
        if target.edge_tpu:
            yield from (f"{name}: {line}." for line in (target.edge_tpu.told(), *sentences(target.edge_tpu.prediction)))
    yield from (f"note: {note}." for note in report.notes)
    times = ", ".join(f"{name} {one.ms:.2f} ms{'*' * one.is_earlier}" for name, one in compiled.latencies.items())
    earlier = " (* measured earlier)" * any(one.is_earlier for one in compiled.latencies.values())
    yield f"one inference on one thread of this host: {times}{earlier}; devices differ."
    yield from (f"{time.target} on devices: {in_words(time)}." for time in compiled.device_times)
    if any(done.is_earlier for done in compiled.steps):
        yield _recalled(compiled.steps)
