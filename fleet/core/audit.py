"""Decides what the audit log says of an act, and how each of its rows vouches for all the ones before it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import AwareDatetime, BaseModel

from contracts import codec
from fleet.errors.audit import AnchorError, BrokenChainError, CutOffError

# What the first row follows.
GENESIS = "0" * 64
MAX_DETAIL_CHARS = 1000
MAX_SUBJECT_CHARS = 200
MAX_NAME_CHARS = 80
# Of what is asked only these are told; whatever else a body holds may be secret, or endless.
TOLD = frozenset({
    "arguments", "deadline_s", "device", "devices", "drop", "dry_run", "gate", "hardware", "kind", "labels", "life_s", "model", "name",
    "put", "query", "release", "rival", "role", "set", "strategy", "team", "threshold", "unset", "uses", "waves", "window",
})  # fmt: skip
# Which of them names what an act is about, where its path does not.
SUBJECTS = ("device", "name", "model", "query")
_VERBS = {"POST": "create", "PUT": "set", "DELETE": "remove", "PATCH": "change"}
_ANCHOR = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")

Outcome = Literal["done", "refused", "failed"]


class Entry(BaseModel, frozen=True, extra="forbid"):
    """One act: who did what to what, from where, and what came of it."""

    number: int
    at: AwareDatetime
    # Such as `user anna` or `token owner`, and the role that was theirs then.
    who: str
    role: str
    # Such as `api 192.0.2.7`.
    source: str
    what: str
    subject: str
    outcome: Outcome
    # The id that the answer bore in X-Request-Id.
    request: str
    # Canonical JSON of what else was asked, without secrets.
    detail: str


class LinkedEntry(Entry, frozen=True, extra="forbid"):
    """A row of the log, with the digest that covers it and all rows before it."""

    sha256: str


@dataclass(frozen=True)
class Anchor:
    """A row that somebody keeps elsewhere: whatever ended with it cannot be changed or cut off unseen."""

    number: int
    sha256: str

    def __str__(self) -> str:
        """How it is written down."""
        return f"{self.number}:{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Read what `str` wrote; raise AnchorError."""
        match = _ANCHOR.fullmatch(text.strip())
        if match is None:
            raise AnchorError(text)
        return cls(int(match[1]), match[2])


def link(before: str, entry: Entry) -> str:
    """Return the digest of a row: SHA-256 over the digest of the one before it and this one's canonical JSON."""
    plain = Entry.model_validate(entry.model_dump(exclude={"sha256"}))
    return hashlib.sha256(before.encode() + codec.encode(plain)).hexdigest()


class Chain:
    """Follows the rows from the first on, and stops at the first one that breaks."""

    def __init__(self, anchor: Anchor | None = None) -> None:
        """Expect row 1, and on the way the `anchor`."""
        self._anchor = anchor
        self.newest = Anchor(0, GENESIS)

    def follow(self, entry: LinkedEntry) -> None:
        """Take the next row; raise BrokenChainError."""
        number = self.newest.number + 1
        if entry.number != number:
            raise BrokenChainError(number, f"row {number}", f"row {entry.number}")
        expected = link(self.newest.sha256, entry)
        if entry.sha256 != expected:
            raise BrokenChainError(number, f"sha256 {expected}", entry.sha256)
        if self._anchor is not None and number == self._anchor.number and expected != self._anchor.sha256:
            raise BrokenChainError(number, f"the anchor's sha256 {self._anchor.sha256}", expected)
        self.newest = Anchor(number, expected)

    def finish(self) -> Anchor:
        """Return the newest row; raise CutOffError when it comes before the anchor."""
        if self._anchor is not None and self.newest.number < self._anchor.number:
            raise CutOffError(self._anchor.number, self.newest.number)
        return self.newest


def plain(text: str, max_chars: int) -> str:
    """Return a text as every database keeps it, byte for byte."""
    return text[:max_chars].encode(errors="replace").decode().replace("\0", "\ufffd")


def what_of(method: str, path: str) -> str:
    """Name what a route of the API does, such as `rollouts.pause` or `tokens.remove`; `path` is its template below the prefix."""
    parts = path.strip("/").split("/")
    words = [part for part in parts if not part.startswith("{")]
    is_act = method == "POST" and len(words) < len(parts) and not parts[-1].startswith("{")
    return ".".join(words if is_act else [*words, _VERBS.get(method, method.lower())])[:64]


def told_of(body: bytes) -> tuple[str, str]:
    """Return what an act is about as far as a request's body says, and what else of it may be told, as canonical JSON."""
    try:
        found = json.loads(body) if body else {}
        told = {name: found[name] for name in sorted(TOLD) if found.get(name)} if isinstance(found, dict) else {}
        return str(next((told[name] for name in SUBJECTS if name in told), "")), detail_of(told)
    except (ValueError, RecursionError):  # no JSON, or what canonical JSON cannot say
        return "", ""


def detail_of(facts: Mapping[str, object]) -> str:
    """Write facts as canonical JSON of bounded length; what is too long is told by its size alone."""
    if not facts:
        return ""
    text = codec.canonical(facts).decode()
    if len(text) > MAX_DETAIL_CHARS:
        text = codec.canonical({name: _size_of(value) for name, value in facts.items()}).decode()
    return text if len(text) <= MAX_DETAIL_CHARS else codec.canonical({"left_out": len(facts)}).decode()


def _size_of(value: object) -> object:
    return f"{len(value)} long" if isinstance(value, str | Sequence | Mapping) and len(value) > 40 else value
