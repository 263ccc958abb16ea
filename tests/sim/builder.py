"""A stand-in builder: takes its time, leaves real files, and misbehaves for the releases it is told to.

    python -m tests.sim.builder '{"seconds": 1, "log": "/tmp/builds", "3": "fail"}' '<BuildOrder>'

Each build adds a line to the log: its release, process id, niceness, scheduling policy and class of disk access. By release counter, or
by `second` for the second build of all, `fail` ends with what TensorRT might say, `hang` never ends, `flood` writes 64 MiB, `gibberish`
says what nobody understands.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from agent.leash import leash


def main() -> int:
    """Note how it was started, and build once."""
    facts = {
        "pid": os.getpid(),
        "nice": os.nice(0),
        "is_idle": os.sched_getscheduler(0) == os.SCHED_IDLE,
        "disk": int(psutil.Process().ionice().ioclass),
    }
    come_forward()
    return build(facts)


def come_forward() -> None:
    """Work as what started it does, where that is allowed: tests fill a machine, and leave nothing to who only takes what nobody wants."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, os.getppid()))


def build(facts: Mapping[str, object]) -> int:
    """Do what the release's behaviour is."""
    # What costs time to import comes after the step forward.
    from agent.core.engines import BuildOrder, Built
    from contracts.manifest import decode_manifest

    settings, order = json.loads(sys.argv[1]), BuildOrder.model_validate_json(sys.argv[2])
    release = decode_manifest((Path(order.release_dir) / "manifest.json").read_bytes()).release
    with Path(settings["log"]).open("a") as log:
        log.write(json.dumps({"release": release, **facts}) + "\n")
    into = Path(order.into)
    assert list(into.iterdir()) == [], "a builder starts in an empty folder"
    is_second = len(Path(settings["log"]).read_text().splitlines()) == 2
    behaviour = settings.get("second" if is_second and "second" in settings else str(release), "build")
    (into / "half.tmp").write_bytes(b"half" * ((16 << 20) if behaviour == "flood" else 1))
    for line in ("parsing", "timing tactics", "[E] layer conv1: could not find any implementation", "[E] build failed"):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    if behaviour == "fail":
        return 1
    time.sleep(3600 if behaviour in ("hang", "flood") else settings.get("seconds", 0))
    (into / "half.tmp").rename(into / "model_sm87.engine")
    (into / "sm87.timing").write_bytes(b"timings")
    sys.stdout.write(
        "fluent gibberish\n" if behaviour == "gibberish" else Built(provider="TensorrtExecutionProvider").model_dump_json() + "\n"
    )
    return 0


if __name__ == "__main__":
    leash()
    sys.exit(main())
