"""How a raw sample becomes the model's input: one plain function that gate, golden test and worker all run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from contracts.codec import expectation_of
from contracts.errors import InvalidDocumentError
from contracts.grown import Grown
from contracts.specs import number, numbers, options, sides
from contracts.view import WHOLE, View

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from contracts.tensors import TensorSpec

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0)]
MAX_SIDE = 1 << 14
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Layout = Literal["HWC", "CHW"]
EXPECTED = (
    "scale=S, mean=M or std=D (one number, or one a channel: M:M:M), resize=HxW or resize=SHORTER, kernel=nearest, bilinear or antialias, "
    "letterbox=VALUE, crop=HxW, source=HWC or CHW, channels=RGB or BGR, layout=HWC or CHW, each once"
)


class Preprocess(Grown, frozen=True, extra="forbid"):
    """Resize, letterbox or crop, order the channels, (x * scale - mean) / std, lay out: in float32, each step only where it is given."""

    scale: Finite = 1.0
    # One number, or one for each channel.
    mean: Finite | Annotated[tuple[Finite, ...], Field(min_length=1, max_length=64)] = 0.0
    std: Positive | Annotated[tuple[Positive, ...], Field(min_length=1, max_length=64)] = 1.0
    # How raw images lie; height, width, channels where it is not given.
    source: Layout | None = None
    # To (height, width), or to a shorter side with the shape kept.
    resize: Annotated[tuple[Side, ...], Field(min_length=1, max_length=2)] | None = None
    kernel: Literal["nearest", "bilinear", "antialias"] | None = None
    # Keep the shape within a resize to (height, width), the photo in the middle, and fill the border with this raw value.
    letterbox: Finite | None = None
    # The centre, (height, width).
    crop: tuple[Side, Side] | None = None
    # What the model takes; raw images are RGB.
    channels: Literal["RGB", "BGR"] | None = None
    # How the model's input lies; as raw images do where it is not given.
    layout: Layout | None = None

    @model_validator(mode="after")
    def _kernel_has_a_resize(self) -> Preprocess:
        if self.kernel is not None and self.resize is None:
            raise ValueError("a resize for the kernel to work in")
        if self.letterbox is not None and (self.crop is not None or len(self.resize or ()) != 2):
            raise ValueError("resize=HxW, and no crop, for a letterbox")
        return self

    @classmethod
    def parse(cls, text: str) -> Preprocess:
        """Read 'scale=S,mean=M,std=D' and the image steps, each part optional; raise InvalidDocumentError naming the wrong part."""
        values: dict[str, Any] = {}
        for key, part, value in options("--preprocess", text, frozenset(cls.model_fields), EXPECTED):
            if key == "letterbox":
                values[key] = number("--preprocess", part, value)
            elif key in ("scale", "mean", "std"):
                several = numbers("--preprocess", part, value)
                values[key] = several[0] if len(several) == 1 else several
            else:
                values[key] = sides("--preprocess", part, value) if key in ("resize", "crop") else value
        if "crop" in values:
            values["crop"] = (values["crop"] * 2)[:2]
        try:
            return cls(**values)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            field = str(wrong["loc"][0]) if wrong["loc"] else next(key for key in ("letterbox", "kernel") if key in values)
            expected = "a number above 0" if field == "std" else expectation_of(wrong["type"], wrong["msg"])
            raise InvalidDocumentError("--preprocess", field, expected, repr(values[field])) from error

    @property
    def has_images(self) -> bool:
        """Say whether a sample is an image with channels, and not just numbers."""
        steps = (self.source, self.resize, self.crop, self.channels, self.layout)
        return isinstance(self.mean, tuple) or isinstance(self.std, tuple) or any(step is not None for step in steps)

    def shape_of(self, raw: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that a raw sample [1, ...] has afterwards; ValueError for one that is no image, or smaller than its crop."""
        if not self.has_images:
            return raw
        from contracts.resample import target_size

        height, width, channels = self._sides(raw)
        if self.resize:
            height, width = target_size(height, width, self.resize)
        if max(height, width) > MAX_SIDE:
            raise ValueError(f"an image whose sides become at most {MAX_SIDE} pixels, not {height}x{width}")
        if self.crop and (height < self.crop[0] or width < self.crop[1]):
            raise ValueError(f"at least {self.crop[0]}x{self.crop[1]} pixels, not {height}x{width}")
        height, width = self.crop or (height, width)
        several = {len(values) for values in (self.mean, self.std) if isinstance(values, tuple)}
        if several - {channels}:
            raise ValueError(f"{channels} channels for {max(several)} values of mean or std")
        return (1, channels, height, width) if (self.layout or self.source) == "CHW" else (1, height, width, channels)

    def apply(self, samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return float32 values: of the same shape, or images as the model takes them, whose raw form is [n, height, width, channels]."""
        if not self.has_images:
            return self._scaled(samples)
        import numpy as np

        from contracts import resample

        images = samples if samples.ndim == 4 else samples[..., None]
        if self.source == "CHW" and samples.ndim == 4:
            images = np.moveaxis(images, 1, -1)
        if self.resize:
            height, width = self._resized(images.shape[1], images.shape[2])
            images = resample.resize(images, height, width, self.kernel or "bilinear")
        if self.resize and self.letterbox is not None:
            images = resample.pad(images, self.resize[0], self.resize[1], self.letterbox)
        if self.crop:
            images = resample.crop(images, *self.crop)
        if self.channels == "BGR":
            images = images[..., ::-1]
        values = self._scaled(images)
        return np.ascontiguousarray(np.moveaxis(values, -1, 1) if (self.layout or self.source) == "CHW" else values)

    def view_for(self, raw: tuple[int, ...], spec: TensorSpec) -> View:
        """Return the part of a raw sample that an input shows: all of it, but for a crop or a letterbox; ValueError for no image."""
        if not (spec.datatype.startswith("FP") and (self.crop or self.letterbox is not None)):
            return WHOLE
        height, width, _ = self._sides(raw)
        wanted = self.crop or self.resize
        height, width = self._resized(height, width)
        assert wanted is not None  # a letterbox has a resize
        top, left = (_start(size, kept) for size, kept in ((height, wanted[0]), (width, wanted[-1])))
        return View(left / width, top / height, (left + wanted[-1]) / width, (top + wanted[0]) / height)

    @property
    def takes_any_size(self) -> bool:
        """Say whether raw images of any height and width lead to inputs of one size."""
        return len(self.resize or ()) == 2 or self.crop is not None

    def leads_alike(self, raw: tuple[int, ...], usual: tuple[int, ...]) -> bool:
        """Say whether a raw sample of another shape than the usual leads to an input of the same shape."""
        try:
            return len(raw) == len(usual) and self.shape_of(raw) == self.shape_of(usual)
        except ValueError:
            return False

    def shape_for(self, raw: tuple[int, ...], spec: TensorSpec) -> tuple[int, ...]:
        """Return `shape_of` for an input of numbers; inputs of integers keep their shape."""
        return self.shape_of(raw) if spec.datatype.startswith("FP") else raw

    def prepare(self, sample: npt.NDArray[Any], spec: TensorSpec) -> npt.NDArray[Any]:
        """Return one raw sample [1, ...] as a model takes it; inputs of integers, such as tokens, are taken as they are."""
        values = self.apply(sample) if spec.datatype.startswith("FP") else sample
        return values.reshape(spec.shape)

    def _sides(self, raw: tuple[int, ...]) -> tuple[int, int, int]:
        """Return a raw image's height, width and channels."""
        image = raw if len(raw) == 4 else (*raw, 1)
        if len(image) != 4:
            raise ValueError(f"an image of shape [1, height, width, channels], not {list(raw)}")
        return (image[2], image[3], image[1]) if self.source == "CHW" and len(raw) == 4 else (image[1], image[2], image[3])

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) of the picture itself, before its border is added or its centre cut."""
        from contracts.resample import fitting_size, target_size

        if not self.resize:
            return height, width
        return (target_size if self.letterbox is None else fitting_size)(height, width, self.resize)

    def _scaled(self, samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        import numpy as np  # the control process reads manifests and never needs arrays

        values: npt.NDArray[np.float32] = samples.astype(np.float32)
        values *= np.float32(self.scale)
        values -= np.asarray(self.mean, np.float32)
        values /= np.asarray(self.std, np.float32)
        return values


def _start(size: int, kept: int) -> int:
    """Return where the middle begins: an odd remainder leaves, or adds, one more at the end."""
    return (size - kept) // 2 if size >= kept else -((kept - size) // 2)
