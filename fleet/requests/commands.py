"""What is asked of devices once."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from contracts.commands import MAX_LIFE, Kind

DEFAULT_COMMAND_LIFE_S = 300.0


class NewCommand(BaseModel, frozen=True, extra="forbid"):
    """POST devices/{device}/commands: what a device shall do once; arguments are those of its kind, such as a benchmark's runs."""

    kind: Kind
    arguments: Annotated[dict[str, str | int], Field(max_length=8)] = {}
    # A device that does not hear it by then never obeys it.
    life_s: Annotated[float, Field(ge=1, le=MAX_LIFE.total_seconds())] = DEFAULT_COMMAND_LIFE_S
