"""The main job, shown: compile, sign, roll out to three devices, refuse a broken release, and look at the fleet."""

from __future__ import annotations

import argparse
import io
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from contracts.bundle import file_entry, read_bundle, write_bundle
from examples.digits.stage import Stage, StageError, wait_until
from examples.digits.traffic import Traffic, load_images

HERE = Path(__file__).parent
DEVICES = {"pi-1": "rpi5", "coral-1": "coral", "jetson-1": "jetson-orin"}
COMPILED_FOR = ("cpu", "rpi5", "jetson-orin", "coral")
# Quick, so that the demo is; the defaults suit a fleet.
SETTINGS = (
    "telemetry.health_interval_s=2",
    "telemetry.window_s=5",
    "update.probation_s=4",
    # This computer plays the part of a Coral and of a Jetson, whose accelerators it has not.
    "runtime.allow_cpu_fallback=true",
)
MARKER = ".fieldfare-demo"

console = Console(highlight=False)


def main() -> None:
    """Run the demo; end with status 0 when every device is committed and healthy, else 1."""
    arguments = argparse.ArgumentParser(prog="make demo", description=__doc__)
    arguments.add_argument("--once", action="store_true", help="end when the story is told, instead of waiting for Ctrl-C")
    arguments.add_argument("--dir", type=Path, default=Path("demo-data"), help="folder for everything the demo makes (default: demo-data)")
    options = arguments.parse_args()
    # Whoever ends the demo, its processes end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Stage(empty_folder(options.dir.resolve())) as stage:
            tell(stage)
            if options.once:
                console.print("\nThe fleet ends with the story; `make demo` keeps it up until Ctrl-C.")
            else:
                console.print("\nThe fleet stays up until Ctrl-C.")
                wait_for_ctrl_c()
    except StageError as error:
        console.print(f"[red]the demo stopped:[/] {error}\nlogs: {options.dir}/*.log")
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("\nended")


def tell(stage: Stage) -> None:
    """Tell the whole story; raise StageError where it does not come true."""
    chapter(1, "Compile the digits model for each kind of device")
    compile_model(stage)

    chapter(2, "Start the fleet server and three agents")
    start_fleet(stage)
    start_agents(stage)

    chapter(3, "Sign release 1 and roll it out")
    stage.fieldfare("release", "add", stage.folder / "release-1", shows=True)
    stage.fieldfare("rollout", "start", "digits", "--to", "all", "--wait", shows=True)

    chapter(4, "Send digit images through each agent's API")
    callers = start_traffic(stage)
    wait_until("answers from every agent", lambda: all(caller.answered >= 100 for caller in callers.values()))
    for device, caller in callers.items():
        console.print(
            f"  {device}: {caller.answered} answered, {100 * caller.right / caller.answered:.1f} % right, {len(caller.failures)} failed"
        )

    chapter(5, "Roll out a broken release 2, while the images keep coming")
    spoil_golden_outputs(stage.folder / "release-1", stage.folder / "release-2")
    stage.fieldfare("release", "add", stage.folder / "release-2", shows=True)
    before = {device: caller.answered for device, caller in callers.items()}
    stage.fieldfare("rollout", "start", "digits", "--to", "all", "--wait", expected=1, shows=True)
    console.print("  refused and rolled back everywhere, as it should be; release 1 serves on")
    time.sleep(2.0)  # a little traffic after the refusal counts too
    for caller in callers.values():
        caller.stop()
    for device, caller in callers.items():
        console.print(f"  {device}: {caller.answered - before[device]} answered meanwhile, {len(caller.failures)} failed")

    chapter(6, "The fleet's health")
    check_the_end(stage, callers)
    stage.fieldfare("devices", shows=True)
    say_what_to_try(stage)


def compile_model(stage: Stage) -> None:
    """Compile, gate and bundle the committed ONNX file."""
    targets = [word for target in COMPILED_FOR for word in ("--target", target)]
    data: list[str | Path] = [
        "--calibration",
        HERE / "calibration.npz",
        "--evaluation",
        HERE / "evaluation.npz",
        "--labels",
        HERE / "labels.txt",
    ]
    gate = ["--preprocess", "scale=0.0625", "--metric", "top1", "--max-drop", "0.01"]
    stage.fieldfare("compile", HERE / "digits.onnx", *targets, *data, *gate, "-o", stage.folder / "release-1", shows=True)


def start_fleet(stage: Stage) -> None:
    """Start the server, with its own broker, on free ports."""
    port = stage.choose_port(8480)
    stage.tls_port = stage.choose_port(port + 1)
    ports = ("--port", str(port), "--tls-port", str(stage.tls_port), "--broker-port", str(stage.choose_port(stage.tls_port + 1)))
    server = stage.start("fleet", "fleet", "up", "--dir", stage.fleet_dir, *ports)
    wait_until("the fleet server", lambda: server.poll() is not None or (stage.fleet_dir / "connection.json").exists())
    wait_until("the fleet's API", lambda: server.poll() is not None or answers(port))
    if server.poll() is not None:
        raise StageError(f"the fleet server ended with status {server.returncode}: {(stage.folder / 'fleet.log').read_text().strip()}")


def answers(port: int) -> bool:
    """Say whether the API is up."""
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def start_agents(stage: Stage) -> None:
    """Enrol three devices and start an agent for each."""
    for device, hardware in DEVICES.items():
        start_agent(stage, device, hardware, *SETTINGS)
    wait_until("three devices online", lambda: all(device["online"] for device in stage.asked("devices")))


def start_agent(stage: Stage, device: str, hardware: str, *settings: str) -> subprocess.Popen[bytes]:
    """Enrol one device and start its agent, its API on a free port."""
    folder = stage.folder / device
    token = stage.asked("device", "token", "--name", device, "--hardware", hardware, "--label", "site=demo")["token"]
    options = [word for setting in (*settings, f"serve.port={stage.choose_port(8600)}") for word in ("--set", setting)]
    server = f"https://127.0.0.1:{stage.tls_port}"
    stage.fieldfare("agent", "enroll", "--server", server, f"--token={token}", "--out", folder, *options)
    console.print(f"  {device}: enrolled as {hardware}, its agent is starting")
    return stage.start(device, "agent", "run", "--config", folder / "agent.toml")


def token_of(stage: Stage, device: str) -> str:
    """Return the token that callers of a device's API show."""
    return (stage.folder / device / "state" / "api.token").read_text().strip()


def start_traffic(stage: Stage) -> dict[str, Traffic]:
    """Start one caller for each device, at the address that the device reports."""
    images, labels = load_images(HERE / "evaluation.npz")
    callers = {
        device["id"]: Traffic(device["models"]["digits"]["endpoint"], token_of(stage, device["id"]), images, labels)
        for device in stage.asked("devices")
    }
    for caller in callers.values():
        caller.start()
    return callers


def spoil_golden_outputs(source: Path, folder: Path) -> None:
    """Write a release 2 whose golden outputs no device can reproduce: each sample's scores moved by one class."""
    manifest = read_bundle(source)
    files = {path: (source / path).read_bytes() for path in manifest.files}
    for artifact in manifest.artifacts.values():
        with np.load(io.BytesIO(files[artifact.golden_outputs])) as arrays:
            moved: dict[str, Any] = {name: np.roll(array, 1, axis=-1) for name, array in arrays.items()}
        spoilt = io.BytesIO()
        np.savez(spoilt, **moved)
        files[artifact.golden_outputs] = spoilt.getvalue()
    entries = {path: file_entry(raw) for path, raw in files.items()}
    write_bundle(folder, manifest.model_copy(update={"release": 2, "files": entries}), files)


def check_the_end(stage: Stage, callers: dict[str, Traffic]) -> None:
    """Raise StageError unless all run release 1, have refused release 2, are healthy, and no request failed."""
    wait_until("every device healthy", lambda: all(device["status"] == "healthy" for device in stage.asked("devices")), 30)
    for device in stage.asked("devices"):
        report = device["models"]["digits"]
        last = report["last"]
        if report["current"]["release"] != 1 or last["release"]["release"] != 2 or last["result"] != "rolled_back":
            raise StageError(f"{device['id']}: expected release 1 running and release 2 rolled back, found {report}")
    failures = [f"{device}: {failure}" for device, caller in callers.items() for failure in caller.failures]
    if failures:
        raise StageError(f"{len(failures)} requests failed during the updates; the first: {failures[0]}")


def say_what_to_try(stage: Stage) -> None:
    """Print the dashboard's address and the next commands."""
    link = stage.fieldfare("dashboard").strip()
    console.print("\n[bold]Dashboard[/] (this link logs you in once):")
    console.print(f"  {link}", soft_wrap=True)
    console.print("\n[bold]Try next[/], in another terminal:")
    console.print(f"  export FIELDFARE_DIR={shlex.quote(str(stage.fleet_dir))} PATH=$PWD/.venv/bin:$PATH", soft_wrap=True)
    for command in ("fieldfare watch", "fieldfare device show coral-1", "fieldfare rollout show", "fieldfare release list"):
        console.print(f"  {command}")
    console.print("  XDG_CONFIG_HOME=$FIELDFARE_DIR mosquitto_sub -t 'ff/v1/+/health'", soft_wrap=True)


def chapter(number: int, title: str) -> None:
    """Print a heading."""
    console.rule(f"[bold]{number}. {title}", align="left")


def empty_folder(folder: Path) -> Path:
    """Return an empty folder; what an earlier demo left there is removed, anything else is not touched."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise StageError(f"{folder}: expected an empty folder or an earlier demo's, found other files; choose another with --dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()
    return folder


def wait_for_ctrl_c() -> None:
    """Sleep until the user ends the demo."""
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
