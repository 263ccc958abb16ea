"""The builder as the agent starts it, on this machine without a GPU: what it says, and what it refuses."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from agent.adapters.builder_process import BuilderProcess
from agent.core.engines import BuildOrder, Built
from agent.errors import EngineError
from agent.ground import BUILDER_COMMAND
from contracts.agent_config import RuntimeSection
from contracts.bundle import write_bundle
from tests.sim.tiny_release import MODEL, TinyRelease

JETSON = "jetson-orin"


def build(folder: Path, *, model: str = MODEL, runtime: RuntimeSection | None = None) -> Built:
    """Write a tiny release for a Jetson, and have it built."""
    manifest = TinyRelease().write(folder / "cpu")
    files = {path: (folder / "cpu" / path).read_bytes() for path in manifest.files}
    write_bundle(folder / "release", manifest.model_copy(update={"artifacts": {JETSON: manifest.artifacts["cpu"]}}), files)
    into = folder / "into"
    into.mkdir()
    order = BuildOrder(model=model, release_dir=str(folder / "release"), target=JETSON, into=str(into), runtime=runtime or RuntimeSection())
    return asyncio.run(BuilderProcess(BUILDER_COMMAND, stepping_back=()).build(order))


def test_without_tensorrt_the_release_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"exit status 1: error: .*model\.onnx: expected TensorrtExecutionProvider .*allow_cpu_fallback"):
        build(tmp_path)


def test_where_the_cpu_may_stand_in_there_is_nothing_to_build(tmp_path: Path) -> None:
    assert build(tmp_path, runtime=RuntimeSection(allow_cpu_fallback=True)) == Built(provider="CPUExecutionProvider")
    assert list((tmp_path / "into").iterdir()) == []


def test_an_order_for_another_model_is_no_order(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"exit status 2: error: .*expected model other, found tiny"):
        build(tmp_path, model="other")


def test_a_builder_that_is_not_there_is_named() -> None:
    order = BuildOrder(model="m", release_dir="/nowhere", target=JETSON, into="/nowhere", runtime=RuntimeSection())
    with pytest.raises(EngineError, match=r"exit status 1: .*No module named"):
        asyncio.run(BuilderProcess((sys.executable, "-m", "agent.no_such_builder"), stepping_back=()).build(order))
