"""What is asked of devices that are to be let in, or played."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from contracts.names import DeviceId, LabelKey, LabelValue, TargetName

DEFAULT_TOKEN_LIFE_S = 3600.0


class NewEnrolmentToken(BaseModel, frozen=True, extra="forbid"):
    """POST enrolment-tokens: what machines that come with it will be."""

    # The one device it is for, and the only way back for one that was revoked; None leaves the name to the machine.
    device: DeviceId | None = None
    hardware: TargetName
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = {}
    uses: Annotated[int, Field(ge=1, le=100_000)] = 1
    life_s: Annotated[float, Field(gt=0, le=365 * 86400)] = DEFAULT_TOKEN_LIFE_S

    @model_validator(mode="after")
    def _one_name_is_for_one_machine(self) -> NewEnrolmentToken:
        if self.device is not None and self.uses > 1:
            raise ValueError("one use for a token that names its device")
        return self


class SimulatedDevice(BaseModel, frozen=True, extra="forbid"):
    """A device that is played."""

    id: DeviceId
    hardware: TargetName
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = {}


class NewSimulatedDevices(BaseModel, frozen=True, extra="forbid"):
    """POST simulated-devices: they need no certificates, because only the server's own user can play them."""

    devices: Annotated[tuple[SimulatedDevice, ...], Field(min_length=1, max_length=1000)]


class GivenToken(BaseModel, frozen=True):
    """An enrolment token; its text is shown this once."""

    token: str
    expires_at: AwareDatetime


class SimulationDoor(BaseModel, frozen=True):
    """The broker's socket for simulated devices, on the server's machine."""

    path: str
