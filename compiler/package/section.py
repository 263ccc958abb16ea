"""The common form of the report's parts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
