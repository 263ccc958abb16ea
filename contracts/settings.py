"""What an agent's settings look like that its fleet makes; which there are, and what they mean, is the agent's configuration's to say."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StrictFloat, StrictInt

MAX_SETTINGS = 64
SettingPath = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}\.[a-z][a-z0-9_]{0,31}$")]
Word = Annotated[str, Field(max_length=2000)]
# Whether a value fits its setting is for the device to judge, whose agent may be older or newer than the fleet.
SettingValue = (
    StrictBool | StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)] | Word | Annotated[tuple[Word, ...], Field(max_length=16)]
)
Settings = Annotated[dict[SettingPath, SettingValue], Field(max_length=MAX_SETTINGS)]
