"""What decides whom the device believes, and by what it is known itself."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from agent.core.memory import Memory
from agent.core.renewal import Believed, NextKey, Span
from agent.core.verdict import Question, Verdict


class TrustFiles(Protocol):
    """What the broker says about trust."""

    mirror_dir: Path
    cache_dir: Path
    envelope_file: Path

    def put(self, name: str, raw: bytes) -> bool:
        """Mirror a trust file; return whether it is another one."""

    def put_envelope(self, raw: bytes) -> bool:
        """Keep a desired message; return whether it is another one."""

    def has_envelope(self) -> bool:
        """Say whether there is one."""

    def memory(self) -> Memory:
        """Return what is remembered of earlier verdicts."""

    def remember(self, memory: Memory) -> None:
        """Keep it for good."""


class Verifier(Protocol):
    """Who judges a wish."""

    async def ask(self, question: Question) -> Verdict:
        """Return the verdict; raise VerifierError when there is none."""


class Credentials(Protocol):
    """Who knows about keys and certificates."""

    async def make(self, device: str) -> NextKey:
        """Return a new key and its request; raise CredentialError."""

    async def span(self, device: str, identity: str, authority: str) -> Span:
        """Return how long an identity is good; raise CredentialError when it is not ours."""

    async def follow(self, believed: str, certificate: str, voucher: str) -> Believed:
        """Return whom to believe from now on; raise CredentialError when nobody who is believed vouches for the next authority."""


class Identity(Protocol):
    """By what the device is known."""

    def identity(self) -> str:
        """Return the newest key and certificate; raise OSError."""

    def authority(self) -> str:
        """Return the certificates of the authorities that are believed, the newest last; raise OSError."""

    @property
    def newest_authority(self) -> str:
        """The fingerprint of the newest authority that is believed; raise OSError."""

    @property
    def own_authority(self) -> str:
        """The fingerprint of the authority by which the device is known; raise OSError."""

    def believe(self, authorities: str) -> None:
        """Believe these authorities from the next connection on; raise OSError."""

    def adopt(self, identity: str, authority: str) -> None:
        """Be known by this key and certificate, which the authority of this fingerprint signed, from the next connection on."""
