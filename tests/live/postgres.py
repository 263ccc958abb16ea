"""Starts a real PostgreSQL of its own, as an unprivileged user, at a Unix socket in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psutil

from fleet.store.place import PostgresUrl

START_S = 60.0
STOP_S = 60.0
# Debian keeps the server's programs where no PATH looks.
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
WHY_NOT = "" if PROGRAMS else "PostgreSQL is not installed: apt-get install --no-install-recommends postgresql-15"
USER = "fleet"
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "150",
    "log_destination": "stderr",
}


class Postgres:
    """One server; `with` starts it and stops it."""

    def __init__(self) -> None:
        """Make its folder, and a cluster in it."""
        self.folder = Path(tempfile.mkdtemp(prefix="fieldfare-postgres-"))
        # The server refuses to run as root.
        self._owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        os.chown(self.folder, self._owner.pw_uid, self._owner.pw_gid)
        self._run("initdb", "-D", str(self.folder / "cluster"), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(self, *_args: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {**SETTINGS, "unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            command = self._command("postgres", "-D", str(self.folder / "cluster"), *options)
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end_s = time.monotonic() + START_S
        while self._ask("SELECT 1").returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end_s, "PostgreSQL did not start"
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it; SIGINT asks it to end every connection."""
        if self._process is not None:
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop it with all its sessions where they are: it keeps its connections, and answers nothing."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a pause."""
        self._signal_all(signal.SIGCONT)

    def die(self) -> None:
        """End it with all its sessions at once, as a machine without power does."""
        self._signal_all(signal.SIGKILL)
        self.stop()

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        for process in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def new_database(self, template: PostgresUrl | None = None) -> PostgresUrl:
        """Make a database, empty or like another that nobody is connected to."""
        name = f"fleet_{uuid.uuid4().hex[:12]}"
        self.do(f"CREATE DATABASE {name} TEMPLATE {template.shown.rpartition('/')[2] if template else 'template0'}")
        return self.place(name)

    def place(self, name: str) -> PostgresUrl:
        """Return where a database lies."""
        return PostgresUrl.parse(self.url(name), "a test")

    def url(self, name: str) -> str:
        """Return a database's URL."""
        return f"postgresql://{USER}@/{name}?host={self.folder}"

    def do(self, statement: str, database: str = "postgres") -> str:
        """Run a statement and return what it answers."""
        done = self._ask(statement, database)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _ask(self, statement: str, database: str = "postgres") -> subprocess.CompletedProcess[str]:
        command = (str(PROGRAMS[-1] / "psql"), "-h", str(self.folder), "-U", USER, "-XAtc", statement, database)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_S)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(self._command(*arguments), cwd=self.folder, capture_output=True, text=True, check=False, timeout=START_S)
        assert done.returncode == 0, done.stderr

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(PROGRAMS[-1] / program), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", f"--reuid={self._owner.pw_uid}", f"--regid={self._owner.pw_gid}", "--clear-groups", *command]
        return ["setpriv", "--pdeathsig=INT", *command]
