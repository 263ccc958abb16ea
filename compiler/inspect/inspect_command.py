"""The command `inspect`: what a model or a bundle holds, and how each target would run it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from compiler.edgetpu.document import EdgeTpuPrediction, sentences
from compiler.importers.shapes import parse_shapes
from compiler.inspect.artifacts import bundle_artifacts
from compiler.inspect.facts import Facts, facts_of
from compiler.inspect.show import counted, scaled, shape, size, table

EPILOG = """[bold]Examples[/bold]

fieldfare inspect model.onnx

fieldfare inspect detector.onnx --shape image=1x3x320x320 --json

fieldfare inspect digits-1
"""


def inspect_command(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A model, a folder of a bundle, or module:callable.")],
    sizes: Annotated[list[str] | None, typer.Option("--shape", help="Sizes the model leaves open: image=1x3x224x224.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")] = False,
) -> None:
    """Show what a model holds: inputs, outputs, operators, parameters, memory, and what each target would run.

    A bundle is checked byte by byte first; then each of its artifacts is shown.
    """
    shapes = parse_shapes(sizes or ())
    artifacts = bundle_artifacts(Path(source))
    if artifacts is None:
        facts = facts_of(source, shapes)
        typer.echo(facts.model_dump_json(indent=2)) if as_json else _show(facts, source)
        return
    found = {artifact.label: facts_of(str(artifact.file), shapes) for artifact in artifacts}
    if as_json:
        documents = ", ".join(f'"{label}": {facts.model_dump_json()}' for label, facts in found.items())
        typer.echo(f"{{{documents}}}")
        return
    for artifact in artifacts:
        _show(found[artifact.label], f"{artifact.label} ({artifact.file.name})", has_targets=False)


def _show(facts: Facts, title: str, *, has_targets: bool = True) -> None:
    console = Console()
    rows = table("what", "value", title=title)
    rows.add_row("format", f"{facts.format}, {size(facts.bytes)}" if facts.bytes is not None else facts.format)
    for side, tensors in (("input", facts.inputs), ("output", facts.outputs)):
        for tensor in tensors:
            rows.add_row(side, f"{tensor.name} {tensor.datatype} {shape(tensor.shape)}")
    rows.add_row("operators", f"{sum(facts.operators.values())}: {counted(facts.operators)}")
    rows.add_row("parameters", f"{facts.parameters:,} in {size(facts.parameter_bytes)}")
    rows.add_row("multiply-accumulates", scaled(facts.macs, ""))
    rows.add_row("peak of activations", _peak(facts))
    if facts.quantized is not None:
        share = facts.quantized.parameters / max(facts.parameters, 1)
        rows.add_row("already quantized", f"{share:.0%} of the parameters; tensors: {counted(facts.quantized.datatypes)}")
    console.print(rows)
    for note in facts.notes:
        console.print(f"note: {note}.", soft_wrap=True, highlight=False)
    if facts.refusal is not None and has_targets:
        console.print(f"cannot be compiled: {facts.refusal}", soft_wrap=True, highlight=False)
    if facts.edge_tpu is not None:
        _show_edge_tpu(facts.edge_tpu, "this file on a Coral", console)
    if facts.targets and has_targets:
        _show_targets(facts, console)


def _peak(facts: Facts) -> str:
    peak = facts.peak_activations
    if peak is None:
        return "unknown: a size is left open, say it with --shape"
    return f"{size(peak.bytes)} at {peak.op} {peak.step[:60]}"


def _show_targets(facts: Facts, console: Console) -> None:
    rows = table("target", "lowering", "integer>", "elsewhere>", "which")
    for name, target in facts.targets.items():
        integer, other = sum(target.integer.values()), sum(target.other.values())
        which = f"{target.elsewhere}: {counted(target.other) if integer else 'everything'}" if other else ""
        rows.add_row(name, target.lowering, str(integer), str(other), which)
    console.print(rows)
    for name, target in facts.targets.items():
        if target.refusal is not None:
            console.print(f"{name}: {target.refusal}", soft_wrap=True, highlight=False)
        if target.edge_tpu is not None and facts.edge_tpu is None:
            _show_edge_tpu(target.edge_tpu, f"compiled for {name}", console)
    console.print("As the lowerings would write it; compile the model to know, and measure on the device.", highlight=False)


def _show_edge_tpu(prediction: EdgeTpuPrediction, what: str, console: Console) -> None:
    for line in sentences(prediction):
        console.print(f"{what}: {line}.", soft_wrap=True, highlight=False)
