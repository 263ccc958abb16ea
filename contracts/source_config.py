"""What stands in a `[[source]]` of agent.toml: where a model's own pictures come from, how often, and where its results go."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import BaseModel, Field, model_validator

from contracts.names import ModelName

# A number or a device file of this machine, a stream, or a recording.
CAMERA = r"^(|[0-9]{1,3}|/[^\x00-\x1f]+|(rtsp|rtsps|http|https)://[^\s]+)$"
DEVICES = "/dev/"


class SourceSection(BaseModel, frozen=True, extra="forbid"):
    """One camera, or one folder, that one model looks at."""

    model: ModelName
    # "0" or "/dev/video0", "rtsp://..." or "http://.../stream.mjpg", or the file of a recording, which is played as fast as asked for.
    camera: Annotated[str, Field(pattern=CAMERA, max_length=1000)] = ""
    # Whose newest image is looked at, once for each image.
    folder: Annotated[str, Field(max_length=1000)] = ""
    # Frames a second that the model is given; callers come first, and what it has no time for is dropped.
    rate_hz: Annotated[float, Field(gt=0, le=240, allow_inf_nan=False)] = 5.0
    # A file of one line of JSON for each result; relative paths start from the state folder. Empty for none.
    results_file: Annotated[str, Field(max_length=1000)] = ""
    # Of that file and the one before it together.
    results_max_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 32 << 20
    # Pictures that stay the same in every byte for so long are reported: a sensor that works is never as quiet as that. 0 for never.
    frozen_s: Annotated[float, Field(ge=0, le=7 * 86400, allow_inf_nan=False)] = 60.0

    @model_validator(mode="after")
    def _looks_at_one_thing(self) -> SourceSection:
        if bool(self.camera) == bool(self.folder):
            raise ValueError("either a camera or a folder")
        return self

    @property
    def shown(self) -> str:
        """Name it without the password that its address may hold: at most scheme, host and path."""
        if "://" not in self.camera:
            return self.camera or self.folder
        scheme, _, rest = self.camera.partition("://")
        # Whatever stands before the last @, for a password that was not escaped may hold any of /?# too.
        return f"{scheme}://{re.split('[?#]', rest.rpartition('@')[2])[0]}"

    @property
    def is_live(self) -> bool:
        """Say whether pictures pass by unless they are taken: a camera or a stream, not a folder or a recording."""
        return bool(self.camera) and (not self.camera.startswith("/") or self.camera.startswith(DEVICES))

    @property
    def period_s(self) -> float:
        """Return the time from one frame to the next."""
        return 1.0 / self.rate_hz

    def placed(self, state_dir: str, config_dir: str) -> SourceSection:
        """Return it with whole paths: results lie with the state, pictures where the configuration says."""
        results = str(PurePosixPath(state_dir, self.results_file)) if self.results_file else ""
        folder = str(PurePosixPath(config_dir, self.folder)) if self.folder else ""
        return self.model_copy(update={"results_file": results, "folder": folder})


def check_one_each(sources: tuple[SourceSection, ...]) -> tuple[SourceSection, ...]:
    """Raise ValueError for two sources of one model: its newest result and frame would be either's."""
    models = [source.model for source in sources]
    twice = sorted({model for model in models if models.count(model) > 1})
    if twice:
        raise ValueError(f"one source for each model, not two for {', '.join(twice)}")
    return sources
