"""How a raw sample becomes the model's input: one plain function that gate, golden test and worker all run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from contracts.errors import InvalidDocumentError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Preprocess(BaseModel, frozen=True, extra="forbid"):
    """(x * scale - mean) / std, in float32."""

    scale: Finite = 1.0
    mean: Finite = 0.0
    std: Annotated[float, Field(allow_inf_nan=False, gt=0)] = 1.0

    @classmethod
    def parse(cls, text: str) -> Preprocess:
        """Read 'scale=S,mean=M,std=D', each part optional; raise InvalidDocumentError naming the wrong part."""
        values: dict[str, float] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            key, _, number = part.partition("=")
            if key not in cls.model_fields or key in values:
                raise InvalidDocumentError("--preprocess", part, "scale=S, mean=M or std=D, each once", repr(key))
            values[key] = _number(part, number)
        if values.get("std", 1.0) <= 0:
            raise InvalidDocumentError("--preprocess", "std", "a number above 0", repr(values["std"]))
        return cls(**values)

    def apply(self, samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return float32 values of the same shape."""
        import numpy as np  # the control process reads manifests and never needs arrays

        values: npt.NDArray[np.float32] = samples.astype(np.float32)
        values *= np.float32(self.scale)
        values -= np.float32(self.mean)
        values /= np.float32(self.std)
        return values


def _number(part: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:
        raise InvalidDocumentError("--preprocess", part, "a finite number", repr(text))
    return value
