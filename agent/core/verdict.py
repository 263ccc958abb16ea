"""What the control process asks the verifier process, and what it answers: one JSON line each way."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter

from agent.core.memory import Memory
from contracts.downlinks import Desired
from contracts.names import DeviceId, ModelName, TargetName
from contracts.trust import SourceUrl

# Two are no attacks: `incomplete` is a file that is not here yet, `unsupported` a command of a newer fleet.
RefusalClass = Literal[
    "incomplete",
    "forged",
    "expired",
    "replayed",
    "wrong_device",
    "wrong_hardware",
    "not_listed",
    "rollback",
    "freeze",
    "mix_and_match",
    "endless_data",
    "unsupported",
]
MAX_ANSWER_BYTES = 512 * 1024


class Grounds(BaseModel, frozen=True, extra="forbid"):
    """What every judgement stands on: where the metadata lies, who we are, and what we have seen."""

    root_file: str
    # Untrusted: what the broker sent.
    mirror_dir: str
    # Trusted: metadata that verified before.
    cache_dir: str
    device: DeviceId
    memory: Memory


class Question(Grounds):
    """A wish, and what this device can run."""

    envelope_file: str
    targets: tuple[TargetName, ...]


class Verified(BaseModel, frozen=True, extra="forbid"):
    """The wish is genuine, and every release it names is listed for this device."""

    kind: Literal["verified"] = "verified"
    desired: Desired
    manifest_bytes: dict[ModelName, int]
    # Servers that the releases name for their files.
    sources: dict[ModelName, tuple[SourceUrl, ...]] = {}
    # What to remember from now on.
    memory: Memory


class Refused(BaseModel, frozen=True, extra="forbid"):
    """The wish must not be followed."""

    kind: Literal["refused"] = "refused"
    refusal: RefusalClass
    reason: str


Verdict = Annotated[Verified | Refused, Field(discriminator="kind")]
VERDICT: TypeAdapter[Verdict] = TypeAdapter(Verdict)
