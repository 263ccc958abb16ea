"""The command `lint-tensorrt`: reads an ONNX file and prints which of TensorRT's quantization rules it breaks, and where."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import onnx
import typer
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are a package of their own
from rich.console import Console
from rich.text import Text

from compiler.errors import ModelError
from compiler.lower.tensorrt_rules import RULES, Finding, lint

app = typer.Typer(rich_markup_mode="rich")
SENTENCES = {rule.id: rule.sentence for rule in RULES}
EXAMPLE = "[bold]Examples[/bold]\n\nfieldfare lint-tensorrt model.onnx"
EPILOG = "\n\n".join((EXAMPLE, "[bold]Rules[/bold]", *(f"[bold]{rule.id}[/bold]: {rule.sentence}" for rule in RULES)))


@app.command("lint-tensorrt", epilog=EPILOG)
def lint_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="A model with QuantizeLinear and DequantizeLinear nodes.")],
    oldest: Annotated[
        int | None,
        typer.Option(min=8, max=99, help="The oldest TensorRT that must read it, by its major version: 8, or 10 with float16 scales."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.")] = False,
) -> None:
    """Check a quantized ONNX model against TensorRT's rules for explicit quantization.

    The status is 1 when a rule is broken; what goes against advice is only slow.
    """
    graph = _read(model)
    findings, advice = lint(graph, oldest), lint(graph, oldest, "advice")
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in (*findings, *advice)], indent=2, sort_keys=True))
    else:
        _show(model, findings, advice)
    if findings:
        raise typer.Exit(1)


def _read(file: Path) -> onnx.ModelProto:
    if not file.is_file():
        raise ModelError(str(file), "file", "an ONNX model", "no such file")
    try:
        model = onnx.load(file)
        onnx.checker.check_model(model)
    except DecodeError as error:
        raise ModelError(str(file), "content", "an ONNX model", "something else, or a model cut short") from error
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        raise ModelError(str(file), "content", "a whole and valid ONNX model", str(error)) from error
    return model


def _show(file: Path, findings: list[Finding], advice: list[Finding]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for group, style in ((findings, "bold red"), (advice, "bold yellow")):
        for rule in dict.fromkeys(finding.rule for finding in group):
            console.print(Text.assemble((rule, style), f": {SENTENCES[rule]}"))
            for finding in group:
                if finding.rule == rule:
                    console.print(Text(f"  {finding.node}: found {finding.found}; {finding.advice}"))
    count, rules = len(findings), sum(rule.level == "rule" for rule in RULES)
    console.print(Text(f"{file}: {count} finding{'' if count == 1 else 's'} against {rules} rules, {len(advice)} against advice"))
