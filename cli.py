"""The one command, `fieldfare`: decides which package a command belongs to, and turns errors into one line and a status."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from dataclasses import dataclass
from typing import Annotated, NoReturn

import typer

from contracts.errors import FieldfareError


@dataclass(frozen=True)
class Part:
    """A top-level command: the module whose `app` holds it, the extra that installs what it needs, its one-line help."""

    module: str
    extra: str
    summary: str


PARTS = {
    "compile": Part("compiler.cli", "compiler", "Compile a trained model for its targets, and prove what it lost."),
    "inspect": Part("compiler.cli", "compiler", "Show what a model or a bundle holds, and what each target would run."),
    "bench": Part("compiler.cli", "compiler", "Measure a model's latency and memory on this host."),
    "compare": Part("compiler.cli", "compiler", "Show how far the answers of two models lie apart."),
    "lint-tensorrt": Part("compiler.lint_cli", "compiler", "Check a quantized ONNX model against TensorRT's rules."),
    "fleet": Part("fleet.cli.server", "fleet", "Run the fleet server."),
    "release": Part("fleet.cli.releases", "fleet", "Sign and list releases."),
    "authority": Part("fleet.cli.authority", "fleet", "Replace the authority by which server and devices know each other."),
    "keys": Part("fleet.cli.keys", "fleet", "Make, rotate and sign with the keys that stay offline."),
    "rollout": Part("fleet.cli.rollouts", "fleet", "Bring a release to devices, and watch it arrive."),
    "devices": Part("fleet.cli.device_list", "fleet", "List the fleet's devices."),
    "device": Part("fleet.cli.devices", "fleet", "Let a device in, turn it out, or show it."),
    "group": Part("fleet.cli.groups", "fleet", "Name sets of devices, for queries."),
    "token": Part("fleet.cli.tokens", "fleet", "Let people and programs use the API, each in a role."),
    "user": Part("fleet.cli.users", "fleet", "Let people sign in to the dashboard, each in a role."),
    "audit": Part("fleet.cli.audit", "fleet", "See who did what, and prove that the log is whole."),
    "watch": Part("fleet.cli.watch", "fleet", "Show live health over MQTT in the terminal."),
    "dashboard": Part("fleet.cli.dashboard", "fleet", "Print a one-time link that logs you in to the dashboard."),
    "agent": Part("agent.cli", "agent", "Run or install the agent on this device."),
}

OWN_PACKAGES = frozenset({"agent", "compiler", "contracts", "fleet"})


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command; bad input ends in one line on stderr and the error's own exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Before numpy is loaded: our matrices are small, and on a busy machine its threads spend several times the work waiting for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Else pydantic reads what every installed package says of itself, and runs what calls itself a plugin.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Where it happens to be installed, securesystemslib loads a cloud's whole client, by which nothing is signed here; None: not there.
    sys.modules.setdefault("boto3", None)  # type: ignore[arg-type]  # typeshed does not know of this meaning
    requested = _requested_part(arguments)
    try:
        build_app(requested)(args=arguments, prog_name="fieldfare")
    except FieldfareError as error:
        _refuse(error)
    except ModuleNotFoundError as error:
        if requested is None or error.name is None or error.name.split(".")[0] in OWN_PACKAGES:
            raise  # a defect of ours, not of the installation
        _refuse(MissingExtraError(requested, PARTS[requested].extra, error.name))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _refuse(error: FieldfareError) -> NoReturn:
    sys.stderr.write(f"error: {error}\n")
    sys.exit(error.exit_status)


def build_app(requested: str | None) -> typer.Typer:
    """Return the whole command tree, of which only the requested part is imported; the others are a line of help."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Takes trained models to a fleet of devices.")
    app.callback()(_options)
    if requested is not None:
        app.add_typer(_load(requested))
    for name, part in PARTS.items():
        if requested is None or PARTS[requested].module != part.module:
            app.command(name, help=part.summary)(_stub)
    return app


def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=lambda value: _print_version(value), is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Take the options that stand before any command."""


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib import metadata  # takes as long as all the rest of a start

        typer.echo(metadata.version("fieldfare"))
        raise typer.Exit


def _requested_part(arguments: list[str]) -> str | None:
    if "_FIELDFARE_COMPLETE" in os.environ:  # the shell asks for completions: its words are not in argv
        arguments = os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()[1:]
    return arguments[0] if arguments and arguments[0] in PARTS else None


def _load(name: str) -> typer.Typer:
    gc.disable()  # all that an import makes stays, and would be looked through for circles again and again
    try:
        app = importlib.import_module(PARTS[name].module).app
        if PARTS[name].extra == "fleet":
            importlib.import_module("fleet.cli.examples").show_examples(app)
    finally:
        gc.enable()
    assert isinstance(app, typer.Typer)
    return app


def _stub() -> None:
    """Stand in the help for a part that this call does not need."""


class MissingExtraError(FieldfareError):
    """This installation lacks what a command needs."""

    def __init__(self, command: str, extra: str, module: str) -> None:
        super().__init__(f"fieldfare {command}: module {module} is not installed; run: pip install 'fieldfare[{extra}]'")


if __name__ == "__main__":
    main()
