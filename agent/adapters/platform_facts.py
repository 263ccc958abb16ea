"""Touches the system's own files to say what a computation on this device rests on; what is not there is left out."""

from __future__ import annotations

import platform
from pathlib import Path

import anyio

from agent.core.platform import Platform
from agent.runtimes.installed import installed_runtimes, installed_version
from contracts import codec

MAX_FILE_CHARS = 1 << 20
# Where the libraries of accelerators are installed by their packages.
LIBRARY_FOLDERS = ("usr/lib", "usr/lib/aarch64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/local/lib", "usr/local/cuda/lib64")
LIBRARIES = {"tensorrt": "libnvinfer.so.*", "cuda": "libcudart.so.*", "cudnn": "libcudnn.so.*", "edgetpu": "libedgetpu.so.*"}
# The same, where they come as Python packages.
DISTRIBUTIONS = {"tensorrt_python": "tensorrt", "numpy": "numpy", "agent": "fieldfare"}
# Names of the lines in /proc/cpuinfo that say what a processor can do: on x86-64 and on Arm.
CPU_LINES = ("model name", "flags", "Features", "CPU implementer", "CPU part", "CPU revision")


class PlatformFacts:
    """Reads the device that the agent runs on."""

    def __init__(self, root: Path) -> None:
        """Read the system whose files are under `root`, which is / but for tests."""
        self._root = root

    async def read(self) -> Platform:
        """Look at everything once."""
        return await anyio.to_thread.run_sync(self._read)

    def _read(self) -> Platform:
        facts: dict[str, str] = {
            "kernel": f"{platform.release()} {platform.version()}",
            "system": self._system(),
            "libc": " ".join(platform.libc_ver()),
            "python": platform.python_version(),
            "cpu": self._cpu(),
            "gpu": self._gpu(),
            "l4t": self._first_line("etc/nv_tegra_release"),
            "driver": self._first_line("proc/driver/nvidia/version"),
            **{name: self._library(pattern) for name, pattern in LIBRARIES.items()},
            **{name: installed_version(distribution) or "" for name, distribution in DISTRIBUTIONS.items()},
        }
        facts.update({str(name): version for name, version in installed_runtimes().items()})
        return Platform(facts={name: value for name, value in facts.items() if value.strip()})

    def _system(self) -> str:
        lines = dict(line.partition("=")[::2] for line in self._text("etc/os-release").splitlines())
        words = (lines.get(name, "").strip('"') for name in ("PRETTY_NAME", "VERSION_ID", "BUILD_ID", "IMAGE_VERSION"))
        # Debian's os-release does not tell its point releases.
        return " ".join(filter(None, (*words, self._first_line("etc/debian_version"))))

    def _cpu(self) -> str:
        pairs = [line.partition(":")[::2] for line in self._text("proc/cpuinfo").splitlines()]
        found = sorted({(name.strip(), value.strip()) for name, value in pairs if name.strip() in CPU_LINES})
        names = [value for name, value in found if name in ("model name", "CPU part")]
        return f"{', '.join(names)} features {codec.sha256_of(repr(found).encode())[:8]}" if found else ""

    def _gpu(self) -> str:
        board = self._first_line("proc/device-tree/model").rstrip("\0")
        cards = sorted(self._root.glob("proc/driver/nvidia/gpus/*/information"))
        models = (line for card in cards for line in _text(card).splitlines() if line.startswith("Model:"))
        return ", ".join(filter(None, (board, *(line.partition(":")[2].strip() for line in models))))

    def _library(self, pattern: str) -> str:
        found = dict(_sized(file) for folder in LIBRARY_FOLDERS for file in (self._root / folder).glob(pattern))
        # Packages that give every build the same name are told apart by the size.
        return ", ".join(f"{name} ({size} bytes)" for name, size in sorted(found.items()) if size)

    def _first_line(self, path: str) -> str:
        return next(iter(self._text(path).splitlines()), "").strip()

    def _text(self, path: str) -> str:
        return _text(self._root / path)


def _text(path: Path) -> str:
    try:
        with path.open(errors="replace") as stream:
            return stream.read(MAX_FILE_CHARS)
    except OSError:
        return ""


def _sized(file: Path) -> tuple[str, int]:
    """Return what a library is really called and its size, 0 for one that is just being replaced."""
    file = file.resolve()
    try:
        return file.name, file.stat().st_size if file.is_file() else 0
    except OSError:
        return file.name, 0
