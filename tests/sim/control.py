"""Plays the control process's side of a worker: owns the listening sockets, starts real workers, and speaks the link."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.worker_link import MAX_LINE_BYTES, WORKER_LINE, Drain, Failed, Line, Ready, Serve, Serving, WorkerLine, WorkerSetup

ROOT = Path(__file__).parent.parent.parent
TOKEN = "a-token-of-this-device-only"
# Workers prepare behind everybody else who wants the cores.
START_S = 200.0
END_S = 60.0
Kind = TypeVar("Kind", bound=Line)


@dataclass(frozen=True)
class Address:
    """Where callers find the workers: the same sockets for all of them."""

    port: int
    unix_path: Path

    @property
    def url(self) -> str:
        """Return host and port."""
        return f"127.0.0.1:{self.port}"


class WorkerProcess:
    """One worker, seen from the control process."""

    def __init__(self, process: subprocess.Popen[bytes], link: socket.socket) -> None:
        self.process = process
        self._link = link
        self._lines = link.makefile("rb")

    def say(self, line: Line) -> None:
        """Send one line."""
        self._link.sendall(line.model_dump_json().encode() + b"\n")

    def say_raw(self, raw: bytes) -> None:
        """Send bytes that may be no line at all."""
        self._link.sendall(raw)

    def hear(self, timeout_s: float = START_S) -> WorkerLine:
        """Return the next line; fail when none comes."""
        self._link.settimeout(timeout_s)
        raw = self._lines.readline(MAX_LINE_BYTES + 1)
        assert raw.endswith(b"\n"), f"link ended; exit status {self.process.poll()}"
        return WORKER_LINE.validate_json(raw)

    def hear_of(self, kind: type[Kind], timeout_s: float = START_S) -> Kind:
        """Return the next line of one kind, passing over pulses and others."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:  # of what it said long ago, there may be any number of lines
            line = self.hear(timeout_s)
            if isinstance(line, kind):
                return line
            assert not isinstance(line, Failed), line.reason
        raise AssertionError(f"no {kind.__name__} in {timeout_s:g} s")

    def start_serving(self) -> Ready:
        """Wait until it is ready, and let it serve."""
        ready = self.hear_of(Ready)
        assert ready.golden_passed, ready.reason
        self.say(Serve())
        self.hear_of(Serving)
        return ready

    def drain(self, deadline_s: float = 5.0) -> int:
        """Drain it and return its exit status."""
        self.say(Drain(deadline_s=deadline_s))
        return self.wait(deadline_s + END_S)

    def wait(self, timeout_s: float = END_S) -> int:
        """Return the exit status."""
        return self.process.wait(timeout_s)

    def hang_up(self) -> None:
        """Close the link, as the death of the control process would."""
        self._lines.close()
        self._link.close()

    def end(self) -> None:
        """Leave nothing behind."""
        self.hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait(END_S)


class Control:
    """Owns one TCP and one Unix socket, and the workers that share them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tcp = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = Address(self._tcp.getsockname()[1], folder / "model.sock")
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(self.address.unix_path))
        self._unix.listen(128)
        self.token_file = folder / "token"
        self.token_file.write_text(TOKEN + "\n")
        self.token_file.chmod(0o600)
        self._workers: list[WorkerProcess] = []

    def start(self, release_dir: Path, *, model: str = "tiny", target: str = "cpu", window_s: float = 60.0) -> WorkerProcess:
        """Start a worker as the control process does."""
        ours, theirs = socket.socketpair()
        setup = WorkerSetup(
            model=model,
            release_dir=str(release_dir),
            target=target,
            link_fd=theirs.fileno(),
            listen_fds=(self._tcp.fileno(), self._unix.fileno()),
            token_file=str(self.token_file),
            window_s=window_s,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "agent.worker", json.dumps(setup.model_dump(mode="json"))],
            pass_fds=(theirs.fileno(), *setup.listen_fds),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        theirs.close()
        self._workers.append(WorkerProcess(process, ours))
        return self._workers[-1]

    def close(self) -> None:
        """End every worker and free the sockets."""
        for worker in self._workers:
            worker.end()
        self._tcp.close()
        self._unix.close()


@contextlib.contextmanager
def control(folder: Path) -> Iterator[Control]:
    """Run a control side for the length of a test."""
    playing = Control(folder)
    try:
        yield playing
    finally:
        playing.close()
