"""The wheel of this source tree, and versions of it that never were."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD_S = 200


def build_wheel(folder: Path) -> Path:
    """Build the wheel as it would be published."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, capture_output=True, timeout=BUILD_S, check=True)
    return next(folder.glob("fieldfare-*.whl"))


def version_of(wheel: Path) -> str:
    """Return the version in a wheel's name."""
    return wheel.name.split("-")[1]


def another_version(wheel: Path, version: str, edits: Mapping[str, tuple[str, str]]) -> Path:
    """Write a wheel beside `wheel` under another version, in which one text in each named file is another."""
    old, new = (f"fieldfare-{number}.dist-info" for number in (version_of(wheel), version))
    made = wheel.with_name(wheel.name.replace(version_of(wheel), version))
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            raw = source.read(name)
            if name in edits:
                before, after = (text.encode() for text in edits[name])
                assert before in raw, f"{name} does not hold {before!r}"
                raw = raw.replace(before, after)
            if name.startswith(old):
                raw = raw.replace(old.encode(), new.encode()).replace(
                    f"Version: {version_of(wheel)}\n".encode(), f"Version: {version}\n".encode()
                )
            target.writestr(name.replace(old, new), raw)
    return made
