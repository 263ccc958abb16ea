"""Which part of a photo a model sees: what its boxes need to come back to the photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class View(NamedTuple):
    """The edges of the model's input in shares of the photo: within 0 to 1 after a crop, beyond them where a letterbox adds a border."""

    left: float
    top: float
    right: float
    bottom: float

    def placed(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return boxes [n, 4], given in shares of the input, in shares of the photo and within it."""
        import numpy as np  # the control process reads manifests and never needs arrays

        start = np.array([self.left, self.top] * 2, np.float32)
        extent = np.array([self.right - self.left, self.bottom - self.top] * 2, np.float32)
        placed: npt.NDArray[np.float32] = np.clip(boxes * extent + start, 0.0, 1.0)
        return placed


WHOLE = View(0.0, 0.0, 1.0, 1.0)
