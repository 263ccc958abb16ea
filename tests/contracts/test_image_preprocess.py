"""Images become inputs by steps that any machine repeats: resize, crop, channel order, scale, layout."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from contracts import codec
from contracts.errors import InvalidDocumentError
from contracts.preprocess import Preprocess
from contracts.resample import resize, target_size
from contracts.tensors import TensorSpec

PHOTO = np.random.default_rng(5).integers(0, 256, (1, 48, 64, 3), np.uint8)
IMAGENET = "resize=32,crop=28x24,scale=0.00392157,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,layout=CHW"


def test_the_shorter_side_is_resized_the_centre_cut_and_each_channel_normalised() -> None:
    preprocess = Preprocess.parse(IMAGENET)

    values = preprocess.apply(PHOTO)

    assert values.shape == (1, 3, 28, 24) == preprocess.shape_of(PHOTO.shape)
    assert values.dtype == np.float32
    pixels = resize(PHOTO, 32, 43, "bilinear")[:, 2:30, 9:33]
    blue = (pixels[..., 2] * np.float32(0.00392157) - np.float32(0.406)) / np.float32(0.225)
    np.testing.assert_allclose(values[:, 2], blue, rtol=1e-5)


def test_channels_are_turned_round_for_a_model_that_takes_blue_first() -> None:
    values = Preprocess.parse("channels=BGR").apply(PHOTO)
    np.testing.assert_array_equal(values, PHOTO[..., ::-1])


def test_raw_images_may_lie_with_channels_first() -> None:
    raw = np.moveaxis(PHOTO, -1, 1)
    np.testing.assert_array_equal(Preprocess.parse("source=CHW,layout=HWC").apply(raw), PHOTO)
    kept = Preprocess.parse("source=CHW,mean=1:2:3").apply(raw)
    np.testing.assert_array_equal(kept, raw - np.array([1, 2, 3], np.float32).reshape(3, 1, 1))


def test_grey_images_need_no_channel_axis() -> None:
    preprocess = Preprocess.parse("resize=8x8")
    assert preprocess.apply(PHOTO[..., 0]).shape == (1, 8, 8, 1) == preprocess.shape_of((1, 48, 64))


@pytest.mark.parametrize("size", [(24, 32), (37, 91), (96, 128), (352, 352)])
def test_bilinear_is_opencvs(size: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'fieldfare[vision]'")
    expected = cv2.resize(PHOTO[0].astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resize(PHOTO, *size, "bilinear")[0], expected, atol=0.02)


def test_antialias_counts_every_pixel_that_is_covered() -> None:
    steps = np.arange(8, dtype=np.float32).reshape(1, 1, 8, 1)
    small = resize(steps, 1, 2, "antialias")[0, 0, :, 0]
    # Triangles of half-width 4 pixels around 2 and 6, cut off at the edges: weights 0.625 0.875 0.875 0.625 0.375 0.125, and mirrored.
    assert small[0] == pytest.approx((0.875 * 1 + 0.875 * 2 + 0.625 * 3 + 0.375 * 4 + 0.125 * 5) / 3.5)
    assert small[0] + small[1] == pytest.approx(7)


def test_nearest_takes_the_pixel_under_the_centre() -> None:
    steps = np.arange(6, dtype=np.uint8).reshape(1, 1, 6, 1)
    assert resize(steps, 1, 3, "nearest").ravel().tolist() == [1, 3, 5]
    assert resize(steps, 1, 12, "nearest").ravel().tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_one_colour_stays_one_colour() -> None:
    plain = np.full((1, 13, 29, 3), 77, np.uint8)
    for kernel in ("nearest", "bilinear", "antialias"):
        np.testing.assert_allclose(resize(plain, 7, 40, kernel), 77, rtol=1e-6)


def test_a_shorter_side_keeps_the_shape() -> None:
    assert target_size(480, 640, (256,)) == (256, 341)
    assert target_size(640, 480, (256,)) == (341, 256)


def test_a_letterbox_keeps_the_shape_and_fills_the_border() -> None:
    preprocess = Preprocess.parse("resize=32x24,letterbox=114")

    values = preprocess.apply(PHOTO)

    assert values.shape == (1, 32, 24, 3) == preprocess.shape_of(PHOTO.shape)
    np.testing.assert_allclose(values[:, 7:25], resize(PHOTO, 18, 24, "bilinear"))
    assert (values[:, :7] == 114).all()
    assert (values[:, 25:] == 114).all()


def test_what_a_letterbox_adds_is_scaled_like_the_photo() -> None:
    values = Preprocess.parse("resize=8x8,letterbox=114,scale=0.5,mean=7,std=2,layout=CHW").apply(PHOTO)
    assert values[0, :, 0].tolist() == [[25.0] * 8] * 3


def test_an_odd_border_has_one_more_at_the_end() -> None:
    values = Preprocess.parse("resize=5x4,letterbox=-1").apply(np.ones((1, 4, 8, 1), np.uint8))
    assert values[0, :, 0, 0].tolist() == [-1, 1, 1, -1, -1]


def test_even_a_line_leaves_a_pixel() -> None:
    assert Preprocess.parse("resize=8x8,letterbox=0").apply(np.ones((1, 1, 5000, 1), np.uint8)).max() == 1


@pytest.mark.parametrize(
    "text", ["resize=64x64,letterbox=0", "resize=37x50,letterbox=0", "resize=40,crop=32x32", "crop=200x400", "resize=48x90", ""]
)
def test_a_box_comes_back_to_where_it_was_on_the_photo(text: str) -> None:
    photo = np.zeros((1, 480, 640, 1), np.uint8)
    photo[0, 200:280, 290:350] = 255
    preprocess = Preprocess.parse(text)
    spec = TensorSpec(name="x", datatype="FP32", shape=preprocess.shape_of(photo.shape))

    lit = preprocess.apply(photo)[0, :, :, 0] > 127

    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    box = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]) / np.array([*lit.shape[::-1]] * 2)
    [found] = preprocess.view_for(photo.shape, spec).placed(box.astype(np.float32)) * np.array([640, 480] * 2)
    pixel = 640 / min(lit.shape)
    np.testing.assert_allclose(found, [290, 200, 350, 280], atol=pixel)


def test_photos_of_any_size_lead_to_one_input_where_a_step_settles_it() -> None:
    usual = (1, 48, 64, 3)
    for text in ("resize=8x8", "resize=8x8,letterbox=0", "resize=16,crop=8x8"):
        preprocess = Preprocess.parse(text)
        assert preprocess.takes_any_size
        assert preprocess.leads_alike((1, 500, 300, 3), usual)
        assert not preprocess.leads_alike((1, 500, 300, 1), usual)
        assert not preprocess.leads_alike((500, 300, 3), usual)
    shorter = Preprocess.parse("resize=16")
    assert not shorter.takes_any_size
    assert shorter.leads_alike((1, 96, 128, 3), usual)
    assert not shorter.leads_alike((1, 96, 96, 3), usual)


def test_a_strip_that_a_resize_would_make_endless_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 16384 pixels, not 256x67108864"):
        Preprocess.parse("resize=256,crop=224x224").shape_of((1, 4, 1 << 20, 3))


def test_tokens_are_taken_as_they_are() -> None:
    tokens = np.array([[101, 2**24 + 1]], np.int64)
    spec = TensorSpec(name="ids", datatype="INT64", shape=(1, 2))
    assert Preprocess.parse("scale=0.5").prepare(tokens, spec).tolist() == tokens.tolist()


def test_a_document_from_before_images_keeps_its_bytes() -> None:
    assert codec.encode(Preprocess(scale=0.5)) == b'{"mean":0.0,"scale":0.5,"std":1.0}'
    preprocess = Preprocess.parse(IMAGENET)
    assert Preprocess.model_validate_json(codec.encode(preprocess)) == preprocess


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("crop=0x3", "crop=0x3: expected pixels"),
        ("crop=20x20x20", "crop=20x20x20: expected pixels"),
        ("resize=99999", "resize=99999: expected pixels"),
        ("layout=NCHW", "layout: expected 'HWC' or 'CHW', found 'NCHW'"),
        ("kernel=nearest", "kernel: expected a resize for the kernel to work in"),
        ("mean=1:x:3", "mean=1:x:3: expected a finite number"),
        ("std=1:0:1", "std: expected a number above 0"),
        ("letterbox=114", "letterbox: expected resize=HxW, and no crop, for a letterbox, found 114.0"),
        ("resize=640,letterbox=114", "letterbox: expected resize=HxW, and no crop, for a letterbox"),
        ("resize=640x640,crop=600x600,letterbox=0", "letterbox: expected resize=HxW, and no crop, for a letterbox"),
        ("resize=640x640,letterbox=grey", "letterbox=grey: expected a finite number"),
    ],
)
def test_a_wrong_image_step_is_named(text: str, complaint: str) -> None:
    with pytest.raises(InvalidDocumentError, match="--preprocess") as refused:
        Preprocess.parse(text)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shape", "complaint"),
    [
        ("crop=50x50", (1, 48, 64, 3), "at least 50x50 pixels, not 48x64"),
        ("mean=1:2:3", (1, 48, 64, 1), "1 channels for 3 values"),
        ("layout=CHW", (1, 640), "an image of shape"),
    ],
)
def test_an_image_that_cannot_become_an_input_is_refused(text: str, shape: tuple[int, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Preprocess.parse(text).shape_of(shape)


def test_an_unknown_step_in_a_signed_document_is_refused_not_ignored() -> None:
    with pytest.raises(ValidationError, match="gamma"):
        Preprocess.model_validate({"gamma": 2.2})
