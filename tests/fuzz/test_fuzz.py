"""No bytes at all make a parser of `contracts` crash, hang or swallow memory."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.parsers import PARSERS, survive

ROOT = Path(__file__).parent.parent.parent
NUMBERS = (None, True, -1, 2**64, 1e308, float("nan"), float("inf"))
TEXTS = ("", "\x00", "x" * 5000, "9999-12-31T23:59:59Z")
HOSTILE: tuple[object, ...] = (*NUMBERS, *TEXTS, [], {}, [[]], {"": None})
# One input may take this long, and so much memory as the process sets itself; a parser that needs more can be used against its owner.
BOUNDS = ("-timeout=10", "-rss_limit_mb=0", "-max_len=16384", "-seed=1")
needs_atheris = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python or machine")

# Applying a delta takes a file of its own each time.
RUNS = {"deltas": 3000}


def breed(name: str, folder: Path, *options: str) -> None:
    """Fuzz one parser in a process of its own; fail with the input that broke it."""
    command = [sys.executable, "-m", "tests.fuzz.breed", name, str(folder / "corpus"), f"-artifact_prefix={folder}/", *BOUNDS, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    broken = [file.read_bytes() for pattern in ("crash-*", "timeout-*", "oom-*") for file in folder.glob(pattern)]
    assert run.returncode == 0, f"{name}: {broken}\n{run.stderr[-3000:]}"
    assert "Done" in run.stderr, run.stderr[-500:]


@needs_atheris
@pytest.mark.parametrize("name", PARSERS)
def test_inputs_bred_by_coverage_are_survived(name: str, tmp_path: Path) -> None:
    breed(name, tmp_path, f"-runs={RUNS.get(name, 20000)}")


@needs_atheris
@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_inputs_bred_for_minutes_are_survived(name: str, tmp_path: Path) -> None:
    breed(name, tmp_path, "-max_total_time=180")


@pytest.mark.parametrize("name", PARSERS)
def test_every_seed_is_read(name: str) -> None:
    for seed in PARSERS[name].seeds():
        PARSERS[name].read(seed)


@given(name=st.sampled_from(sorted(PARSERS)), raw=st.binary(max_size=600))
def test_random_bytes_are_survived(name: str, raw: bytes) -> None:
    survive(name, raw)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda value: repr(value)[:20])
def test_a_document_with_a_hostile_value_in_any_one_field_is_survived(hostile: object) -> None:
    for seed in PARSERS["documents"].seeds():
        for document in with_one_field_set(json.loads(seed[1:]), hostile):
            survive("documents", seed[:1] + json.dumps(document).encode())


def with_one_field_set(value: Any, hostile: object) -> Iterator[Any]:
    """Yield copies of a JSON value, each with another one of its inner values replaced."""
    yield hostile
    if isinstance(value, dict):
        for key in value:
            yield from ({**value, key: inner} for inner in with_one_field_set(value[key], hostile))
    elif isinstance(value, list):
        for place in range(len(value)):
            yield from ([*value[:place], inner, *value[place + 1 :]] for inner in with_one_field_set(value[place], hostile))
