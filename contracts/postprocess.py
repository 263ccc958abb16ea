"""How a model's outputs become a result: classes or boxes, by one plain function that gate, golden test and worker all run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from contracts.codec import expectation_of
from contracts.errors import InvalidDocumentError
from contracts.grown import Grown
from contracts.specs import number, options, sides
from contracts.tensors import TensorSpec
from contracts.view import WHOLE, View

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from contracts.detections import Floats

Part = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=1, le=1 << 14)]
EXPECTED = (
    "classes or softmax with threshold=T, or boxes=corners, grid, yolov5 or yolov8 with threshold=T, overlap=I, limit=N, "
    "size=HxW and background=yes, each once"
)


class Classes(Grown, frozen=True, extra="forbid"):
    """Results `scores` float32 [1, classes] and `class` int64 [1], -1 where the best score is below the threshold."""

    kind: Literal["classes"] = "classes"
    softmax: bool = False
    threshold: Part | None = None

    def apply(self, outputs: Mapping[str, npt.NDArray[Any]], view: View = WHOLE) -> dict[str, npt.NDArray[Any]]:  # noqa: ARG002 - as Boxes
        """Return the results for one sample's outputs, of which the first holds the scores."""
        import numpy as np  # the control process reads manifests and never needs arrays

        scores = next(iter(outputs.values())).reshape(1, -1).astype(np.float32)
        if self.softmax:
            powers = np.exp(scores - scores.max())
            scores = powers / powers.sum()
        best = int(scores.argmax())
        is_clear = self.threshold is None or float(scores[0, best]) >= self.threshold
        return {"scores": scores, "class": np.array([best if is_clear else -1], np.int64)}

    def results(self, outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
        """Return what `apply` gives for one sample."""
        scores = TensorSpec(name="scores", datatype="FP32", shape=(1, prod(outputs[0].shape)))
        return scores, TensorSpec(name="class", datatype="INT64", shape=(1,))


class Boxes(Grown, frozen=True, extra="forbid"):
    """Results `boxes` float32 [1, limit, 4] (x1, y1, x2, y2 in shares of the photo), `scores` [1, limit] and `classes` int64 [1, limit].

    Best first; places that nothing was found for hold class -1, score 0 and an empty box.
    """

    kind: Literal["boxes"] = "boxes"
    decoding: Literal["corners", "grid", "yolov5", "yolov8"]
    threshold: Part = 0.25
    # Intersection over union past which two boxes of one class are the same thing.
    overlap: Part = 0.45
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    # Height and width of the model's input, for decodings whose boxes are in pixels.
    size: tuple[Side, Side] | None = None
    # Class 0 stands for nothing.
    background: bool = False

    def apply(self, outputs: Mapping[str, npt.NDArray[Any]], view: View = WHOLE) -> dict[str, npt.NDArray[Any]]:
        """Return the results for one sample's outputs, in the order of the artifact's; `view` is what the model saw of the photo."""
        import numpy as np

        boxes, scores, classes = self._best(outputs, view)
        found = len(scores)
        results: dict[str, npt.NDArray[Any]] = {
            "boxes": np.zeros((1, self.limit, 4), np.float32),
            "scores": np.zeros((1, self.limit), np.float32),
            "classes": np.full((1, self.limit), -1, np.int64),
        }
        results["boxes"][0, :found], results["scores"][0, :found], results["classes"][0, :found] = boxes, scores, classes
        return results

    def results(self, outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:  # noqa: ARG002 - as Classes
        """Return what `apply` gives for one sample."""
        places = (1, self.limit)
        return (
            TensorSpec(name="boxes", datatype="FP32", shape=(*places, 4)),
            TensorSpec(name="scores", datatype="FP32", shape=places),
            TensorSpec(name="classes", datatype="INT64", shape=places),
        )

    def _best(self, outputs: Mapping[str, npt.NDArray[Any]], view: View) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        import numpy as np

        from contracts.detections import DECODINGS, MAX_CANDIDATES, suppress

        found = DECODINGS[self.decoding](list(outputs.values()), self.size or (1, 1))
        scores = found.scores.copy()
        if self.background:
            scores[:, 0] = 0.0
        classes = scores.argmax(axis=1)
        best = scores[np.arange(len(scores)), classes]
        order = np.argsort(-best, kind="stable")[:MAX_CANDIDATES]
        order = order[best[order] >= max(self.threshold, np.finfo(np.float32).tiny)]
        boxes = view.placed(found.boxes[order])
        kept = suppress(boxes, classes[order], self.overlap)[: self.limit]
        return boxes[kept], best[order][kept], classes[order][kept].astype(np.int64)


Postprocess = Annotated[Classes | Boxes, Field(discriminator="kind")]


def parse_postprocess(text: str) -> Classes | Boxes | None:
    """Read the one-line form, nothing for an empty one; raise InvalidDocumentError naming the wrong part."""
    if not text.strip():
        return None
    keys = frozenset({"classes", "softmax", "boxes", "threshold", "overlap", "limit", "size", "background"})
    parts = {key: (part, value) for key, part, value in options("--postprocess", text, keys, EXPECTED)}
    given = {key: _value(key, part, value) for key, (part, value) in parts.items()}
    if not given.keys() & {"classes", "softmax", "boxes"}:
        raise InvalidDocumentError("--postprocess", text.strip(), EXPECTED, "neither classes nor boxes")
    try:
        if "boxes" in given:
            given["decoding"] = given.pop("boxes")
            if given["decoding"] in ("yolov5", "yolov8") and "size" not in given:
                raise InvalidDocumentError("--postprocess", "size", "size=HxW, the model's input, for boxes in pixels", "none")
            return Boxes(**given)
        given.pop("classes", None)
        return Classes(**given)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        field = str(wrong["loc"][0])
        raise InvalidDocumentError("--postprocess", field, expectation_of(wrong["type"], wrong["msg"]), repr(given.get(field))) from error


def _value(key: str, part: str, text: str) -> Any:
    if key in ("threshold", "overlap", "limit"):
        return number("--postprocess", part, text)
    if key == "size":
        return (sides("--postprocess", part, text) * 2)[:2]
    if key == "boxes":
        return text
    if text not in ("", "yes"):
        raise InvalidDocumentError("--postprocess", part, f"{key}, or {key}=yes", repr(text))
    return True
