"""Memory and idle time of an agent: its control process, and the worker of a small model, beside what others publish of theirs.

PSS counts a page once over all who share it: the only other Python here is this program, with the fleet's side in it. USS is what nobody
shares, RSS all that is mapped. The floors are what the same libraries take without a line of ours: connected, and beside a plain session.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.bars import Bar, finish, parser
from tests.agent.conftest import DEVICE, AgentProcess, listening_fleet, provisioned_device, running_broker
from tests.sim.fleet import SimFleet
from tests.sim.switches import switch_to, tiny

SETTLE_S = 5.0
IDLE_S = 120.0
MIB = 1 << 20
# As a device does that nobody configured.
USUAL = {"health_interval_s": "10", "window_s": "60", "keepalive_s": "60"}
# "Benchmark report" of aws-greengrass-lite 2.5.0, idle on a Raspberry Pi 4; the least that AWS asks for the Java nucleus.
PUBLISHED = {"Greengrass nucleus lite, published": 15.0, "Greengrass nucleus in Java, published": 96.0}
ONNX_SESSION = (
    "import sys, time, numpy, onnxruntime as ort; options = ort.SessionOptions(); options.intra_op_num_threads = 1;"
    "session = ort.InferenceSession(sys.argv[1], options, ['CPUExecutionProvider']);"
    "tensor = session.get_inputs()[0]; session.run(None, {tensor.name: numpy.zeros(tensor.shape, numpy.float32)});"
    "print('up', flush=True); time.sleep(600)"
)


# What any agent in Python would need that speaks MQTT over TLS and checks what it reads: arguments are CA, identity and port.
FLOOR = (
    "import asyncio, ssl, sys, time; from agent.lazy import UNUSED, spare; spare(UNUSED);"
    "import pydantic; from paho.mqtt import client as paho; from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion;"
    "kind = type('Kind', (pydantic.BaseModel,), {'__annotations__': {'name': str}});"
    "context = ssl.create_default_context(cafile=sys.argv[1]); context.load_cert_chain(sys.argv[2]);"
    "client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5); client.tls_set_context(context);"
    "client.on_connect = lambda *_: print('up', flush=True); client.connect('127.0.0.1', int(sys.argv[3])); client.loop_start();"
    "asyncio.run(asyncio.sleep(600))"
)


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--idle-s", type=float, default=IDLE_S, help="how long to watch the idle agent")
    given = arguments.parse_args()
    # Installed packages are compiled; ours in a checkout is to be so too.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name, running_broker(Path(name)) as broker, listening_fleet(broker) as fleet:
        folder = Path(name)
        with provisioned_device(folder, fleet) as device:
            control, ready_cpu_s = idle_agent(fleet, device)
            rows = [row("control process, no model", control)]
            idle_percent = busy_percent(control, given.idle_s)
            release = tiny(folder / "release", 1)
            switch_to(fleet, DEVICE, release)
            time.sleep(SETTLE_S)
            (worker,) = control.children()
            rows += [row("control process, one model", control), row("worker, ONNX Runtime", worker)]
        papers = device.config.parent
        with program(FLOOR, str(papers / "ca.pem"), str(papers / "identity.pem"), str(fleet.port)) as floor:
            rows.append(row("floor: its libraries, connected", floor))
            with program(ONNX_SESSION, str(next((folder / "release").rglob("model.onnx")))) as session:
                rows += [row("floor beside a session", floor), row("plain ONNX Runtime session", session)]
    alone, beside, served, least, least_beside, plain = (float(entry["PSS MiB"]) for entry in rows)
    rows += [{"process": system, "PSS MiB": mib, "USS MiB": "", "RSS MiB": "", "threads": ""} for system, mib in PUBLISHED.items()]
    bars = [
        Bar("idle_pss", alone, "<=", 25, " MiB"),
        Bar("idle_cpu", idle_percent, "<=", 0.5, " % of a core"),
        Bar("with_worker_pss", beside + served, "<=", 70, " MiB"),
        Bar("ready_cpu", ready_cpu_s, "<=", 2, " s"),
    ]
    print(f"floors of these bars: {least:.1f} MiB alone, {least_beside + plain:.1f} MiB with a plain session\n")
    finish("Idle agent", rows, bars, given.json)


def idle_agent(fleet: SimFleet, device: AgentProcess) -> tuple[psutil.Process, float]:
    """Start the agent with the usual intervals; once connected, return its control process and the CPU time it took until then."""
    text = device.config.read_text()
    for key, value in USUAL.items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    device.config.write_text(text)
    device.behaviours = None
    for _ in range(2):  # the first start compiles what a checkout has not compiled yet
        mark = fleet.mark
        device.start()
        fleet.wait_for_birth(DEVICE, online=True, since=mark)
        assert device.process is not None
        control = psutil.Process(device.process.pid)
        ready_cpu_s = cpu_s(control)
        if mark == 0:
            device.stop()
    time.sleep(SETTLE_S)
    return control, ready_cpu_s


def busy_percent(process: psutil.Process, duration_s: float) -> float:
    """Return the share of one core that a process takes."""
    before_s, began_s = cpu_s(process), time.monotonic()
    time.sleep(duration_s)
    return (cpu_s(process) - before_s) / (time.monotonic() - began_s) * 100


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time that a process has taken, in the kernel too."""
    times = process.cpu_times()
    return times.user + times.system


@contextmanager
def program(text: str, *arguments: str) -> Iterator[psutil.Process]:
    """Run what anyone would need for the same, without an agent around it; begin when it says that it is up."""
    process = subprocess.Popen([sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def row(name: str, process: psutil.Process) -> dict[str, str | float]:
    """Return one line of the table."""
    memory = process.memory_full_info()
    sizes = {"PSS MiB": memory.pss, "USS MiB": memory.uss, "RSS MiB": memory.rss}
    return {"process": name, **{column: size / MIB for column, size in sizes.items()}, "threads": float(process.num_threads())}


if __name__ == "__main__":
    main()
