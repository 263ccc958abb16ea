"""How frames become what a model takes, and how much of a large picture is kept for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from agent.runtimes.port import Arrays
from agent.worker.errors import SourceError
from agent.worker.model import Model
from agent.worker.sources.fitting import Fitting
from agent.worker.sources.frame import Frame, Order
from agent.worker.sources.opencv import eye_for, jpeg
from contracts.bundle import file_entry
from contracts.manifest import Artifact, Manifest, Tolerance
from contracts.preprocess import Preprocess
from contracts.source_config import SourceSection
from contracts.tensors import Datatype, TensorSpec
from tests.sim.cameras import HEIGHT, WIDTH, picture
from tests.sim.tiny_release import GATE

PLAIN = Preprocess()


@dataclass(frozen=True)
class Echo:
    """A runtime that gives back what it takes."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()
    name: str = "echo"
    version: str = "1"
    provider: str = "none"
    preferred_provider: str = "none"
    is_exclusive: bool = False

    @property
    def placement(self) -> dict[str, int]:
        return {}

    def infer(self, inputs: Arrays) -> Arrays:
        return inputs


def model(raw: TensorSpec, inner: tuple[int, ...], preprocess: Preprocess = PLAIN, others: tuple[TensorSpec, ...] = ()) -> Model:
    """Return a model that takes this input."""
    taken = TensorSpec(name="in", datatype="FP32" if preprocess is not PLAIN else raw.datatype, shape=inner)
    artifact = Artifact(
        runtime="onnx",
        precision="fp32",
        file="model.onnx",
        inputs=(taken, *others),
        outputs=(taken,),
        golden_outputs="golden.npz",
        tolerance=Tolerance(absolute=0.0, same_argmax=False),
        gate=GATE,
    )
    manifest = Manifest(
        name="m",
        release=1,
        inputs=(raw, *others),
        preprocess=preprocess,
        golden_inputs="golden.npz",
        artifacts={"cpu": artifact},
        files={path: file_entry(b"") for path in ("model.onnx", "golden.npz")},
    )
    return Model(manifest, artifact, Echo((taken, *others)))


def raw(shape: tuple[int, ...], datatype: Datatype = "UINT8") -> TensorSpec:
    return TensorSpec(name="photo", datatype=datatype, shape=shape)


def frame(pixels: npt.NDArray[np.uint8]) -> Frame:
    return Frame(pixels.shape[0], pixels.shape[1], pixels.tobytes(), datetime(2026, 1, 1, tzinfo=timezone.utc))


def gradient(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return a picture that is red at the left, green at the top and nowhere blue."""
    red, green = np.linspace(255, 0, width), np.linspace(255, 0, height)
    shown = np.zeros((height, width, 3), np.uint8)
    shown[..., 0], shown[..., 1] = red[None, :], green[:, None]
    return shown


def test_a_frame_of_the_models_own_size_goes_in_as_it_is() -> None:
    pixels = gradient(6, 8)

    fitted = Fitting(model(raw((1, 6, 8, 3)), (1, 6, 8, 3))).raw(frame(pixels))

    assert fitted["photo"].dtype == np.uint8
    assert np.array_equal(fitted["photo"], pixels[None])


@pytest.mark.parametrize("datatype", ["UINT8", "FP32"])
def test_a_frame_of_another_size_is_stretched_whole_into_the_models(datatype: Datatype) -> None:
    fitted = Fitting(model(raw((1, 12, 12, 3), datatype), (1, 12, 12, 3))).raw(frame(gradient(48, 96)))["photo"]

    assert fitted.shape == (1, 12, 12, 3)
    assert np.abs(fitted[0].astype(float) - gradient(12, 12)).max() < 14
    assert fitted[..., 2].max() == 0


def test_planes_and_grey_are_laid_out_as_the_release_says() -> None:
    pixels = gradient(6, 8)
    planes = Fitting(model(raw((1, 3, 6, 8)), (1, 3, 6, 8), Preprocess(source="CHW"))).raw(frame(pixels))["photo"]
    grey = Fitting(model(raw((1, 6, 8)), (1, 6, 8))).raw(frame(pixels))["photo"]

    assert np.array_equal(planes[0], np.moveaxis(pixels, -1, 0))
    assert grey.shape == (1, 6, 8)
    assert np.abs(grey[0] - cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(float)).max() <= 1


def test_a_release_that_meets_every_size_itself_is_given_the_frame_whole() -> None:
    any_size = model(raw((1, 64, 64, 3)), (1, 32, 32, 3), Preprocess(resize=(32, 32), letterbox=0.0))

    assert Fitting(any_size).raw(frame(gradient(48, 96)))["photo"].shape == (1, 48, 96, 3)
    assert any_size.infer(Fitting(any_size).raw(frame(gradient(48, 96))), 1)["in"].shape == (1, 32, 32, 3)


def test_a_frame_that_is_smaller_than_the_crop_is_made_to_fit() -> None:
    cropped = model(raw((1, 64, 64, 3)), (1, 32, 32, 3), Preprocess(crop=(32, 32)))

    assert Fitting(cropped).raw(frame(gradient(20, 20)))["photo"].shape == (1, 64, 64, 3)


@pytest.mark.parametrize(
    "unfit",
    [
        model(raw((1, 640), "FP32"), (1, 640)),
        model(raw((1, 6, 8, 4)), (1, 6, 8, 4)),
        model(raw((1, 6, 8, 3), "INT64"), (1, 6, 8, 3)),
        model(raw((1, 6, 8, 3)), (1, 6, 8, 3), others=(raw((1, 2), "FP32"),)),
    ],
)
def test_a_model_that_takes_no_pictures_is_refused_by_its_input(unfit: Model) -> None:
    with pytest.raises(SourceError, match="expected one input of images"):
        Fitting(unfit)


@pytest.mark.parametrize(
    ("fit", "least"),
    [
        (model(raw((1, 32, 32, 3)), (1, 32, 32, 3)), (480, 480)),
        (model(raw((1, 32, 32, 3)), (1, 640, 640, 3), Preprocess(resize=(640, 640))), (1280, 1280)),
        (model(raw((1, 512, 512, 3)), (1, 224, 224, 3), Preprocess(resize=(256,), crop=(224, 224))), (512, 512)),
        (model(raw((1, 512, 512, 3)), (1, 224, 224, 3), Preprocess(crop=(224, 224))), None),
    ],
)
def test_a_picture_keeps_twice_what_the_model_sees_and_is_left_alone_where_pixels_count(fit: Model, least: tuple[int, int] | None) -> None:
    assert Fitting(fit).least == least


@pytest.mark.parametrize(
    ("least", "sides"), [(None, (HEIGHT, WIDTH)), ((24, 32), (24, 32)), ((15, 10), (16, 21)), ((480, 480), (HEIGHT, WIDTH))]
)
def test_a_large_picture_is_made_smaller_where_it_is_read(tmp_path: Path, least: tuple[int, int] | None, sides: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(bytes(cv2.imencode(".png", picture(1))[1].tobytes()))

    taken = eye_for(Order(source=SourceSection(model="m", folder=str(tmp_path)), least=least)).take()

    assert taken is not None
    assert taken.shape == (*sides, 3)
    assert np.abs(taken.reshape(-1, 3).mean(axis=0) - picture(1)[..., ::-1].reshape(-1, 3).mean(axis=0)).max() < 2


def test_a_picture_that_no_quality_fits_is_made_smaller_until_it_does() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (400, 600, 3), np.uint8)

    assert len(jpeg(noise, 20_000)) <= 20_000
    with pytest.raises(SourceError, match="at most 100 bytes"):
        jpeg(noise, 100)
