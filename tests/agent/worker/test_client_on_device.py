"""The client for callers on the device, against a real worker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.client import AddressError, Client, DatatypeError, RefusedError, UnreachableError
from tests.live.ports import free_port
from tests.sim.control import TOKEN, Address, Control
from tests.sim.tiny_release import MODEL, RAW, SCORES, TinyRelease

RELEASE = TinyRelease()
PICTURES = RELEASE.pictures(5)


def test_arrays_go_in_and_out_over_tcp_and_over_the_unix_socket(serving: Address) -> None:
    with Client(f"http://{serving.url}", TOKEN) as over_tcp, Client(str(serving.unix_path)) as over_unix:
        for client in (over_tcp, over_unix, over_tcp):
            outputs = client.infer(MODEL, {RAW.name: PICTURES})

            np.testing.assert_allclose(outputs[SCORES.name], RELEASE.scores(PICTURES), atol=1e-5)


def test_a_view_that_is_not_in_order_arrives_in_order(serving: Address) -> None:
    flipped = PICTURES.transpose(0, 2, 1)

    with Client(str(serving.unix_path)) as client:
        outputs = client.infer(MODEL, {RAW.name: flipped})

    np.testing.assert_allclose(outputs[SCORES.name], RELEASE.scores(np.ascontiguousarray(flipped)), atol=1e-5)


def test_a_refusal_carries_status_and_reason_and_the_client_goes_on(serving: Address) -> None:
    with Client(f"http://{serving.url}", TOKEN) as client:
        with pytest.raises(RefusedError, match="expected datatype UINT8, found FP32") as refused:
            client.infer(MODEL, {RAW.name: PICTURES.astype(np.float32)})
        with pytest.raises(RefusedError, match="404"):
            client.infer("another", {RAW.name: PICTURES})

        assert refused.value.status == 400
        assert client.infer(MODEL, {RAW.name: PICTURES})[SCORES.name].shape == (5, 3)


def test_a_wrong_token_is_refused_and_not_repeated(serving: Address) -> None:
    with Client(f"http://{serving.url}", "a-wrong-token-of-someone") as client, pytest.raises(RefusedError, match="401") as refused:
        client.infer(MODEL, {RAW.name: PICTURES})

    assert "someone" not in str(refused.value)


def test_nobody_there_is_said_clearly(tmp_path: Path) -> None:
    port = free_port()
    for address in (f"http://127.0.0.1:{port}", str(tmp_path / "missing.sock")):
        with Client(address) as client, pytest.raises(UnreachableError) as unreachable:
            client.infer(MODEL, {RAW.name: PICTURES})
        assert unreachable.value.exit_status == 3
        assert address in str(unreachable.value)


@pytest.mark.parametrize("address", ["", "localhost:8600", "ftp://localhost", "http://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(AddressError):
        Client(address)


def test_an_array_that_no_model_takes_is_refused_before_it_is_sent() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(DatatypeError, match="complex64"):
        client.infer(MODEL, {RAW.name: np.zeros(3, np.complex64)})


def test_a_connection_that_the_last_worker_closed_is_opened_again(playing: Control, tmp_path: Path) -> None:
    RELEASE.write(tmp_path / "release")
    old = playing.start(tmp_path / "release")
    old.start_serving()
    with Client(f"http://{playing.address.url}", TOKEN) as client:
        client.infer(MODEL, {RAW.name: PICTURES})
        playing.start(tmp_path / "release").start_serving()
        old.drain(deadline_s=0.2)

        assert client.infer(MODEL, {RAW.name: PICTURES})[SCORES.name].shape == (5, 3)
