"""What the control process needs of the world; the adapters fit these shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from agent.core.admission import Fit
from agent.core.basket import Basket
from agent.core.memory import Memory
from agent.core.patching import PatchOrder
from agent.core.pieces import Found, Taker
from agent.core.preflight import Condition
from agent.core.readings import Readings
from agent.core.renewal import NextKey, Span
from agent.core.transfer import Link
from agent.core.update import Update
from agent.core.verdict import Question, Verdict
from agent.worker_link import Line, WorkerLine
from contracts.chunks import Bitmap
from contracts.manifest import Manifest
from contracts.messages import Machine, Offer


class Connection(Protocol):
    """One connection to the broker; every wait raises LinkLostError when it is gone."""

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Send, and with QoS 1 wait for the acknowledgement."""

    async def subscribe(self, *filters: str) -> None:
        """Ask for topics."""

    def unsubscribe(self, *filters: str) -> None:
        """Ask for topics no longer."""

    async def receive(self) -> list[tuple[str, bytes]]:
        """Return the next messages, at least one, each with its topic."""


class Broker(Protocol):
    """Where connections come from."""

    def connect(self, will_topic: str, will: bytes) -> AbstractAsyncContextManager[Connection]:
        """Connect; the retained will is published unless the block ends in peace."""


class BulkConnection(Protocol):
    """A connection for files; every wait raises LinkLostError when it is gone."""

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send; it may be lost."""

    def heard_by(self, taker: Taker) -> AbstractAsyncContextManager[None]:
        """Let `taker` have each message for as long as the block lasts; others are dropped."""

    async def subscribe(self, *filters: str) -> None:
        """Ask for topics."""

    def unsubscribe(self, *filters: str) -> None:
        """Ask for topics no longer."""

    async def receive(self) -> list[Found]:
        """Return what the taker made of the next messages, at least one."""

    def left(self) -> list[Found]:
        """Return what nobody received, without waiting."""


class BulkBroker(Protocol):
    """Where connections for files come from."""

    def connect_bulk(self) -> AbstractAsyncContextManager[BulkConnection]:
        """Connect, beside the connection for everything else."""


class Source(Protocol):
    """A place that files come from."""

    @property
    def name(self) -> str:
        """Name it in a log."""

    async def fill(self, basket: Basket, bases: tuple[str, ...]) -> Offer | None:
        """Bring what is missing, or an offer to make it from one of `bases`; raise SourceAwayError or SourceFailedError."""

    async def rest(self) -> None:
        """Let go of what is held between files."""


class LinkMemory(Protocol):
    """What is known of the device's link."""

    def load(self) -> Link:
        """Return what was measured last."""

    def save(self, link: Link) -> None:
        """Keep it."""


class Store(Protocol):
    """The state on disk."""

    def models(self) -> tuple[str, ...]:
        """Return the models ever wished for."""

    def load(self, model: str) -> Update:
        """Return a model's machine, a new one if there is none."""

    def save(self, model: str, update: Update) -> None:
        """Remember it, and make the slots agree."""

    def release_dir(self, digest: str) -> Path:
        """Return where an unpacked release lies."""

    def check(self, digest: str, fit: Fit) -> Manifest:
        """Read an unpacked release, every byte checked; raise ContractError."""

    def held(self, model: str, path: str) -> dict[str, Path]:
        """Return by digest what the unpacked releases of a model have at a path."""

    def stage(self, digest: str, manifest: bytes, files: Mapping[str, Path]) -> None:
        """Unpack a release; OSError when the disk does not take it."""

    def collect(self) -> None:
        """Remove what no slot names."""

    def free_bytes(self) -> int:
        """Return the room that is left."""


class Incoming(Protocol):
    """Files that are still arriving."""

    def path(self, digest: str) -> Path:
        """Return where a file's bytes are."""

    def missing(self, digest: str, size: int) -> Bitmap:
        """Return the chunks that are not here."""

    def begin(self, digest: str, size: int, chunks: Sequence[str] | None) -> Bitmap:
        """Make room, and return the chunks that are not here for sure."""

    def write(self, digest: str, index: int, chunk: bytes | memoryview, missing: Bitmap) -> None:
        """Keep a checked chunk; `missing` is what is left after it."""

    def is_whole(self, digest: str, size: int) -> bool:
        """Say whether a file is here and right."""

    def patched(self, digest: str) -> Path:
        """Return where a file is put together from another one."""

    def adopt(self, digest: str, size: int) -> None:
        """Take a file that was put together for one that arrived."""

    def drop(self, digest: str) -> None:
        """Forget one file."""

    def clear(self) -> None:
        """Forget all files."""


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


class Patcher(Protocol):
    """Who applies a delta."""

    async def apply(self, order: PatchOrder) -> None:
        """Write the target, every byte checked; raise PatchError."""


class Credentials(Protocol):
    """Who knows about keys and certificates."""

    async def make(self, device: str) -> NextKey:
        """Return a new key and its request; raise CredentialError."""

    async def span(self, device: str, identity: str, authority: str) -> Span:
        """Return how long an identity is good; raise CredentialError when it is not ours."""


class Identity(Protocol):
    """By what the device is known."""

    def identity(self) -> str:
        """Return the newest key and certificate; raise OSError."""

    def authority(self) -> str:
        """Return the authority's certificate; raise OSError."""

    def adopt(self, identity: str) -> None:
        """Be known by this key and certificate from the next connection on."""


class Process(Protocol):
    """One worker process and the link to it."""

    pid: int

    async def send(self, line: Line) -> None:
        """Write a line; raise WorkerError."""

    async def receive(self) -> WorkerLine | None:
        """Return the next line, None at the end; raise WorkerError."""

    async def wait(self) -> str:
        """Wait for its end, and say how it ended."""

    def kill(self) -> None:
        """End it at once."""


class Launcher(Protocol):
    """Where worker processes come from."""

    def endpoint(self, model: str) -> str:
        """Return where callers reach a model, empty before its first worker."""

    async def start(self, model: str, folder: Path, target: str) -> Process:
        """Start a worker; raise AgentError."""


class Sensors(Protocol):
    """What the device feels."""

    def machine(self) -> Machine:
        """Say what it is made of."""

    async def read(self) -> Readings:
        """Measure once."""

    async def condition(self) -> Condition:
        """Say whether the device is in a state to take more upon itself."""

    def rss_bytes(self, pid: int) -> int:
        """Return a process's resident memory."""


class Notifier(Protocol):
    """The service manager."""

    beat_interval_s: float | None

    def ready(self) -> None:
        """We are up."""

    def beat(self) -> None:
        """The loop turns."""

    def stopping(self) -> None:
        """We are leaving."""
