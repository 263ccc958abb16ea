"""A process that is asked one thing, and whose asker dies meanwhile: it ends, and writes no trace of itself into the agent's log."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from agent.core.renewal import Make

END_S = 120


def asked(module: str, question: bytes) -> tuple[int, bytes]:
    """Ask a module something, and be gone before it answers; return its status and what it complained of."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(question)
        process.stdin.close()
        complaint = process.stderr.read()
        return process.wait(END_S), complaint


@pytest.mark.parametrize("module", ["agent.verifier", "agent.command_verifier", "agent.credential", "agent.patcher"])
def test_who_was_asked_nothing_before_the_asker_died_ends_without_a_word(module: str) -> None:
    assert asked(module, b"") == (1, b"")


def test_who_has_nobody_to_answer_any_more_ends_without_a_word() -> None:
    assert asked("agent.credential", Make(device="pi-1").model_dump_json().encode()) == (-signal.SIGPIPE, b"")
