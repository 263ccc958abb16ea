"""A detector's callers send photos of any size, and may ask for boxes on the photo instead of what the model itself says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.sim.control import TOKEN, control
from tests.sim.tiny_detector import ANSWER, DETECTOR, PHOTO, write_detector

BEARER = {"Authorization": f"Bearer {TOKEN}"}
RESULTS = ("result.boxes", "result.scores", "result.classes")
EMPTY = [0.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.InferenceServerClient]:
    folder = tmp_path_factory.mktemp("finder")
    write_detector(folder / "release")
    with control(folder) as side:
        side.start(folder / "release", model=DETECTOR).start_serving()
        client = triton.InferenceServerClient(side.address.url)
        yield client
        client.close()


def ask(
    client: triton.InferenceServerClient, photos: npt.NDArray[np.uint8], *names: str, binary: bool = True
) -> dict[str, npt.NDArray[Any]]:
    tensor = triton.InferInput(PHOTO.name, list(photos.shape), PHOTO.datatype)
    tensor.set_data_from_numpy(photos)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    answer = client.infer(DETECTOR, [tensor], outputs=wanted or None, headers=BEARER)
    return {output["name"]: answer.as_numpy(output["name"]) for output in answer.get_response()["outputs"]}


def bright(*shape: int) -> npt.NDArray[np.uint8]:
    return np.full(shape, 255, np.uint8)


def test_metadata_lists_results_behind_the_models_own_outputs_and_sizes_that_are_free(finder: triton.InferenceServerClient) -> None:
    metadata = finder.get_model_metadata(DETECTOR, headers=BEARER)
    assert metadata["inputs"] == [{"name": "photo", "datatype": "UINT8", "shape": [1, -1, -1, 1]}]
    assert metadata["outputs"] == [
        {"name": "boxes", "datatype": "FP32", "shape": [1, 6, 1]},
        {"name": "result.boxes", "datatype": "FP32", "shape": [1, 3, 4]},
        {"name": "result.scores", "datatype": "FP32", "shape": [1, 3]},
        {"name": "result.classes", "datatype": "INT64", "shape": [1, 3]},
    ]


@pytest.mark.parametrize("binary", [True, False])
def test_results_are_boxes_on_the_photo(finder: triton.InferenceServerClient, binary: bool) -> None:
    found = ask(finder, bright(*PHOTO.shape), *RESULTS, binary=binary)
    # Of a photo twice as wide as high the input shows all, between an upper and a lower quarter of border.
    np.testing.assert_allclose(found["result.boxes"], [[[0.25, 0.0, 0.75, 1.0], EMPTY, EMPTY]], atol=1e-6)
    assert found["result.scores"].tolist() == [[1.0, 0.0, 0.0]]
    assert found["result.classes"].tolist() == [[1, -1, -1]]


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(4, 4, [0.25, 0.25, 0.75, 0.75]), (40, 20, [0.0, 0.25, 1.0, 0.75]), (300, 600, [0.25, 0.0, 0.75, 1.0])],
)
def test_a_photo_of_any_size_gets_boxes_on_itself(finder: triton.InferenceServerClient, height: int, width: int, box: list[float]) -> None:
    found = ask(finder, bright(1, height, width, 1), "result.boxes")
    np.testing.assert_allclose(found["result.boxes"][0, 0], box, atol=1e-6)


def test_each_photo_of_a_request_has_results_of_its_own(finder: triton.InferenceServerClient) -> None:
    photos = np.stack([bright(6, 6, 1), np.zeros((6, 6, 1), np.uint8), bright(6, 6, 1)])
    found = ask(finder, photos, "result.classes", "boxes")
    assert found["result.classes"].tolist() == [[1, -1, -1], [-1, -1, -1], [1, -1, -1]]
    np.testing.assert_allclose(found["boxes"][[0, 2]], np.concatenate([ANSWER, ANSWER]), atol=1e-6)


def test_raw_outputs_alone_stay_available_and_without_names_all_come(finder: triton.InferenceServerClient) -> None:
    assert list(ask(finder, bright(*PHOTO.shape), "boxes")) == ["boxes"]
    assert list(ask(finder, bright(*PHOTO.shape))) == ["boxes", *RESULTS]


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (8, 8), (65, 4, 4, 1), (1, 1, 1, 1, 1)])
def test_what_is_no_photo_of_these_channels_is_refused_by_name(finder: triton.InferenceServerClient, shape: tuple[int, ...]) -> None:
    with pytest.raises(InferenceServerException, match=r"input photo: expected shape \[n, -1, -1, 1\] with n from 1 to 64"):
        ask(finder, bright(*shape))


def test_a_result_that_there_is_not_is_refused_by_name(finder: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match=r"expected some of \['boxes', 'result.boxes', 'result.scores', 'result.classes'\]"):
        ask(finder, bright(*PHOTO.shape), "result.class")
