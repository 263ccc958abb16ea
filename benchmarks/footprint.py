"""Memory of an idle agent: its control process, and the worker of the digits model, beside plain Python programs of the same kind."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.bars import Bar, finish, parser
from examples.digits import demo
from examples.digits.stage import Stage, wait_until

SETTLE_S = 5.0
MIB = 1 << 20

# What anyone would need to speak MQTT, and to hold the same model, without an agent around it.
MQTT_CLIENT = "import json, paho.mqtt.client, psutil, pydantic, time; print('up', flush=True); time.sleep(600)"
ONNX_SESSION = (
    "import sys, time, numpy, onnxruntime as ort; options = ort.SessionOptions(); options.intra_op_num_threads = 1;"
    "session = ort.InferenceSession(sys.argv[1], options, ['CPUExecutionProvider']);"
    "tensor = session.get_inputs()[0]; session.run(None, {tensor.name: numpy.zeros(tensor.shape, numpy.float32)});"
    "print('up', flush=True); time.sleep(600)"
)


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        control = idle_agent(stage)
        (worker,) = control.children()
        model = stage.folder / "release-1" / "artifacts" / "rpi5" / "model.onnx"
        with plain_program(MQTT_CLIENT) as mqtt_client, plain_program(ONNX_SESSION, str(model)) as onnx_session:
            time.sleep(SETTLE_S)
            rows = [
                row("agent: control process", control),
                row("agent: worker, digits", worker),
                row("plain MQTT client", mqtt_client),
                row("plain ONNX Runtime session", onnx_session),
            ]
    control_mib, worker_mib, client_mib, session_mib = (float(entry["RSS MiB"]) for entry in rows)
    bars = [
        Bar("control_rss", control_mib, "<=", 45, " MiB"),
        Bar("control_rss_ratio", control_mib / client_mib, "<=", 1.6),
        Bar("worker_rss_ratio", worker_mib / session_mib, "<=", 1.5),
    ]
    finish("Idle memory", rows, bars, arguments.json)


def idle_agent(stage: Stage) -> psutil.Process:
    """Bring release 1 of the digits model onto one agent that is linked to its fleet; return the agent's control process."""
    demo.compile_model(stage)
    demo.start_fleet(stage)
    agent = demo.start_agent(stage, "pi-1", "rpi5", "update.probation_s=1")
    wait_until("the device online", lambda: bool(stage.asked("device", "show", "pi-1")["online"]))
    stage.fieldfare("release", "add", stage.folder / "release-1")
    stage.fieldfare("rollout", "start", "digits", "--to", "all", "--wait")
    return psutil.Process(agent.pid)


@contextmanager
def plain_program(source: str, *arguments: str) -> Iterator[psutil.Process]:
    """Run a peer until it says that it is up."""
    process = subprocess.Popen([sys.executable, "-c", source, *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def row(name: str, process: psutil.Process) -> dict[str, str | float]:
    """Return one line of the table; PSS counts each shared page once over all who share it."""
    memory = process.memory_full_info()
    return {"process": name, "RSS MiB": memory.rss / MIB, "PSS MiB": memory.pss / MIB, "threads": float(process.num_threads())}


if __name__ == "__main__":
    main()
