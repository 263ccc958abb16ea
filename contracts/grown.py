"""How a signed document grows: a field added later is not written while it is absent, so that old documents keep their bytes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer


class Grown(BaseModel, frozen=True, extra="forbid"):
    """A part whose later fields are None by default, and then leave no trace; an unknown field is refused, never ignored."""

    @model_serializer(mode="wrap")
    def _without_the_absent(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in write(self).items() if value is not None}
