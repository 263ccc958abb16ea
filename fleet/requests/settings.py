"""What is asked of the settings of agents."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from contracts.settings import MAX_SETTINGS, SettingPath, Settings


class ConfigurationChange(BaseModel, frozen=True, extra="forbid"):
    """POST configurations: settings of agents by path, such as telemetry.health_interval_s, on all devices that the query means."""

    query: Annotated[str, Field(max_length=1000)]
    set: Settings = {}
    # Those that each device's own agent.toml shall decide again.
    unset: Annotated[tuple[SettingPath, ...], Field(max_length=MAX_SETTINGS)] = ()
    # Say what would change, and change nothing.
    dry_run: bool = False
