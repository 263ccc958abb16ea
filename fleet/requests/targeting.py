"""What is asked of groups and labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, model_validator

from contracts.names import DeviceId, LabelKey, LabelValue

QueryText = Annotated[str, Field(min_length=1, max_length=1000)]
GroupName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class NewGroup(BaseModel, frozen=True, extra="forbid"):
    """PUT groups/{group}: whoever a query means whenever it is asked, or a list of devices."""

    query: QueryText | None = None
    devices: Annotated[tuple[DeviceId, ...], Field(max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _says_one_of_both(self) -> NewGroup:
        if (self.query is None) is (self.devices is None):
            raise ValueError("either a query or devices")
        return self


class LabelChange(BaseModel, frozen=True, extra="forbid"):
    """POST device-labels: all of it happens, or nothing."""

    # By device: the version of the labels that the author saw; None for whatever they are.
    devices: Annotated[dict[DeviceId, Version | None], Field(min_length=1, max_length=5000)]
    put: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = {}
    drop: Annotated[tuple[LabelKey, ...], Field(max_length=32)] = ()
