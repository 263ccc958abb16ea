"""A device's trust and nothing else: the real verifier over a real state folder, at a time that the test sets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from agent.adapters.trust_files import TrustFiles
from agent.core.memory import Memory
from agent.core.verdict import Question, Verdict, Verified
from agent.verifier import verify


class Judge:
    """One device that was given a root on its first day."""

    def __init__(self, folder: Path, root: bytes, device: str = "pi-1") -> None:
        """Provision it."""
        self.device = device
        self.files = TrustFiles(folder)
        self.root_file = folder / "root.json"
        self.root_file.write_bytes(root)

    def judge(self, trust: Mapping[str, bytes], message: bytes, clock: datetime | None = None) -> Verdict:
        """Hear trust files and a desired message; remember the verdict as the agent does."""
        for name, raw in trust.items():
            self.files.put(name, raw)
        self.files.put_envelope(message)
        question = Question(
            root_file=str(self.root_file),
            mirror_dir=str(self.files.mirror_dir),
            envelope_file=str(self.files.envelope_file),
            cache_dir=str(self.files.cache_dir),
            device=self.device,
            targets=("cpu",),
            memory=self.files.memory(),
        )
        verdict = verify(question, clock or datetime.now(timezone.utc))
        if isinstance(verdict, Verified):
            self.files.remember(verdict.memory)
        return verdict

    def hear(self, trust: Mapping[str, bytes], message: bytes, clock: datetime | None = None) -> str:
        """Return `verified`, or the class of the refusal."""
        verdict = self.judge(trust, message, clock)
        return "verified" if isinstance(verdict, Verified) else verdict.refusal

    @property
    def memory(self) -> Memory:
        """What it remembers."""
        return self.files.memory()

    @property
    def floor(self) -> datetime | None:
        """The moment that it takes for passed."""
        return None if self.memory.floor is None else self.memory.floor.moment
