"""Runs deploy/broker.sh: a mosquitto that follows what fleet servers leave in their folder for a broker that they do not run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
STOP_S = 60.0


class FollowedBroker:
    """One of it, beside servers that share `home`; it waits for them to leave their files."""

    def __init__(self, home: Path, data: Path) -> None:
        """Keep its own in `data`, which is made."""
        data.mkdir(mode=0o700, parents=True)
        self._environment = {**os.environ, "FIELDFARE_DIR": str(home), "BROKER_DATA": str(data)}
        self._log = data.parent / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([str(ROOT / "deploy" / "broker.sh")], env=self._environment, stdout=log, stderr=log)

    def stop(self) -> None:
        """End it as its machine does, in good order."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(STOP_S)

    def said(self) -> str:
        """Return what it wrote."""
        return self._log.read_text()
