"""A task in a process of its own: its answer, its refusals and its crashes all arrive as values or named errors."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from compiler.errors import DataError, ModelError
from compiler.isolation import run_isolated


def echo(request: dict[str, str]) -> bytes:
    return request["text"].encode()


def refuse(request: dict[str, str]) -> bytes:
    raise DataError("x.npz", "y", "one", request["text"])


def crash(request: dict[str, str]) -> bytes:
    os.kill(os.getpid(), signal.SIGSEGV)
    return b""


def fail(request: dict[str, str]) -> bytes:
    raise ArithmeticError(request["text"])


def wait(request: dict[str, str]) -> bytes:
    signal.pause()
    return b""


def run(name: str, text: str = "", timeout_s: float = 180.0) -> bytes:
    return run_isolated(f"tests.compiler.test_isolation:{name}", {"text": text}, "model.onnx", timeout_s)


def test_the_answer_arrives_whole() -> None:
    assert run("echo", "two\nlines\n") == b"two\nlines\n"


def test_a_refusal_arrives_as_the_error_it_was() -> None:
    with pytest.raises(DataError, match=r"^x\.npz: y: expected one, found two$"):
        run("refuse", "two")


def test_a_crash_is_a_named_error() -> None:
    with pytest.raises(ModelError, match=r"^model\.onnx: content: .* found one that crashes it \(SIGSEGV\)"):
        run("crash")


def test_an_unforeseen_exception_is_a_named_error_with_its_last_line() -> None:
    with pytest.raises(ModelError, match=r"found one that ends it: ArithmeticError: so it is$"):
        run("fail", "so it is")


def test_a_task_that_never_ends_is_ended() -> None:
    with pytest.raises(ModelError, match="worked through in 2 s, found one that takes longer"):
        run("wait", timeout_s=2.0)


def test_a_module_in_the_folder_of_the_model_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    assert run("echo", "safe") == b"safe"
