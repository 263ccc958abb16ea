"""What devices are played, and what befalls them: the file of `fieldfare fleet simulate --faults`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError, model_validator

from contracts.codec import invalid_document
from contracts.errors import InvalidDocumentError
from contracts.names import LabelKey, LabelValue, TargetName

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_FILE_BYTES = 1 << 20
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Behaviour(str, Enum):
    """How a device is, all its life."""

    STEADY = "steady"
    SLOW = "slow"  # everything takes ten times as long
    FLAKY = "flaky"  # its link breaks every few minutes
    WRONG_CLOCK = "wrong_clock"  # it believes in another year
    FAILING = "failing"  # every update comes to a bad end
    DRIFTING = "drifting"  # it sees ever more of one class


class Section(BaseModel, frozen=True, extra="forbid"):
    """A table of the file."""


class Group(Section):
    """Some of the devices."""

    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
    behaviour: Behaviour = Behaviour.STEADY
    # How many of each kind there are, in relation to each other.
    hardware: Annotated[dict[TargetName, Annotated[float, Field(gt=0, le=1e6)]], Field(min_length=1, max_length=32)] = {"cpu": 1.0}
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = {}


class Faults(Section):
    """What may befall any device."""

    # Messages that are lost on their way to the broker, and those that arrive after the next one.
    drop: Share = 0.0
    reorder: Share = 0.0
    reboots_per_day: Amount = 0.0
    # Updates that find the disk full.
    disk_full: Share = 0.0


class ReleaseEffect(Section):
    """What a release does to the devices that run it."""

    # Requests that fail besides those that always do.
    errors: Share = 0.0
    latency_factor: Annotated[float, Field(gt=0, le=1000)] = 1.0
    # Share of inputs on which it decides otherwise than what serves, while it runs in shadow.
    disagreement: Share = 0.0
    # Devices on which it does not survive its probation.
    rolled_back: Share = 0.0


class Scenario(Section):
    """The whole file; an empty one plays steady devices."""

    seed: int = 1
    health_interval_s: Seconds = 30.0
    window_s: Seconds = 30.0
    requests_per_s: Amount = 2.0
    error_rate: Share = 0.01
    latency_ms: Annotated[float, Field(gt=0, le=1e6)] = 20.0
    # From the first byte to the last, and from the switch to the commit.
    download_s: Seconds = 10.0
    probation_s: Seconds = 10.0
    # All connect within so many seconds.
    connect_s: Seconds = 10.0
    groups: Annotated[tuple[Group, ...], Field(min_length=1, max_length=64)] = (Group(share=1.0),)
    faults: Faults = Faults()
    # By model and counter, such as "digits 2".
    releases: Annotated[dict[str, ReleaseEffect], Field(max_length=64)] = {}

    @model_validator(mode="after")
    def _is_a_whole(self) -> Scenario:
        total = sum(group.share for group in self.groups)
        if not 0.999 <= total <= 1.001:
            raise ValueError(f"groups: expected shares that add up to 1, found {total:g}")
        return self

    def effect_of(self, model: str, release: int) -> ReleaseEffect:
        """Return what a release does; nothing by default."""
        return self.releases.get(f"{model} {release}", ReleaseEffect())

    def counts(self, devices: int) -> Iterator[tuple[Group, int]]:
        """Yield how many devices each group has; the last one has the rest."""
        left = devices
        for group in self.groups[:-1]:
            count = min(left, round(group.share * devices))
            left -= count
            yield group, count
        yield self.groups[-1], left


def read_scenario(file: Path) -> Scenario:
    """Read and check a file; raise InvalidDocumentError."""
    try:
        raw = file.read_bytes()
        if len(raw) > MAX_FILE_BYTES:
            raise InvalidDocumentError(str(file), "file", f"at most {MAX_FILE_BYTES} bytes", f"{len(raw)}")
        return Scenario.model_validate(tomllib.loads(raw.decode()))
    except OSError as error:
        raise InvalidDocumentError(str(file), "file", "a readable scenario in TOML", error.strerror or repr(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidDocumentError(str(file), "syntax", "TOML", str(error)) from error
    except ValidationError as error:
        raise invalid_document(str(file), error) from error
