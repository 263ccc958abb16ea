"""The main job on real processes: what a user, a caller on the device and a person at the broker see."""

from __future__ import annotations

import json
import signal
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import tritonclient.http as triton

from contracts.bundle import read_bundle
from contracts.messages import Health
from examples.digits import demo
from examples.digits.stage import wait_until
from tests.journeys.conftest import Fleet
from tests.live.ports import free_port
from tests.live.subscriber import subscribed
from tests.shared_data import shared_file

LATE_S = 150.0


def triton_client(fleet: Fleet) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(urlsplit(str(fleet.report()["endpoint"])).netloc)


def infer_golden(fleet: Fleet, bundle: Path, target: str) -> float:
    """Send every golden input through tritonclient; return the largest share of the tolerance that an output used."""
    manifest = read_bundle(bundle)
    artifact = manifest.artifacts[target]
    headers = {"Authorization": f"Bearer {demo.token_of(fleet.stage, fleet.device)}"}
    worst = 0.0
    with np.load(bundle / manifest.golden_inputs) as inputs, np.load(bundle / artifact.golden_outputs) as expected:
        client = triton.InferenceServerClient(
            urlsplit(str(fleet.stage.asked("device", "show", fleet.device)["models"][manifest.name]["endpoint"])).netloc
        )
        for index in range(len(inputs[manifest.inputs[0].name])):
            tensors = []
            for spec in manifest.inputs:
                tensor = triton.InferInput(spec.name, list(spec.shape), spec.datatype)
                tensor.set_data_from_numpy(inputs[spec.name][index].reshape(spec.shape))
                tensors.append(tensor)
            answer = client.infer(manifest.name, tensors, headers=headers)
            for spec in artifact.outputs:
                found, golden = answer.as_numpy(spec.name), expected[spec.name][index].reshape(spec.shape)
                worst = max(worst, float(np.abs(found - golden).max()) / artifact.tolerance.absolute)
        client.close()
    return worst


def test_tritonclient_infers_and_agrees_with_the_golden_outputs(fleet: Fleet) -> None:
    assert infer_golden(fleet, fleet.stage.folder / "release-1", "rpi5") <= 1.0


def test_a_caller_without_the_token_is_refused(fleet: Fleet) -> None:
    client = triton_client(fleet)
    assert client.is_server_ready()
    with pytest.raises(triton.InferenceServerException, match=r"401|[Uu]nauthorized|token"):
        client.get_model_metadata("digits")
    client.close()


def test_health_is_readable_json_at_the_configured_interval(fleet: Fleet) -> None:
    with subscribed(fleet.stage.fleet_dir, "ff/v1/+/health") as screen:
        said = [screen.next(LATE_S) for _ in range(6)]
    assert {topic for topic, _ in said} == {"ff/v1/pi-1/health"}
    health = [Health.model_validate_json(json.dumps(payload)) for _, payload in said]
    # One may be late on a busy machine, and the next one early after it.
    assert 0.5 <= median((after.sent_at - before.sent_at).total_seconds() for before, after in pairwise(health)) <= 2.0
    after = health[-1]
    assert after.workers["digits"].state == "serving"
    # On this machine there is no Pi: what really runs is said, not what was hoped for.
    assert after.workers["digits"].provider == "CPUExecutionProvider"


def test_a_killed_agent_is_offline_within_the_keep_alive_and_comes_back_without_a_download(fleet: Fleet) -> None:
    with subscribed(fleet.stage.fleet_dir, "ff/v1/+/birth", "ff/v1/+/want") as screen:
        screen.wait_for("ff/v1/pi-1/birth", "online", True, LATE_S)
        fleet.agent.send_signal(signal.SIGKILL)
        fleet.agent.wait(60)
        # The broker allows one and a half keep-alives of two seconds, and looks once a second.
        assert screen.wait_for("ff/v1/pi-1/birth", "online", False, LATE_S) <= 4.5
        fleet.restart_agent()
        screen.wait_for("ff/v1/pi-1/birth", "online", True, LATE_S)
        wait_until("release 1 serving again", lambda: is_ready(fleet), LATE_S)
        assert [topic for topic, _ in screen.seen() if topic.endswith("/want")] == []
    assert fleet.report()["phase"] == "committed"


def is_ready(fleet: Fleet) -> bool:
    client = triton_client(fleet)
    try:
        return bool(client.is_server_ready())
    except OSError:
        return False
    finally:
        client.close()


def test_a_release_whose_golden_outputs_do_not_match_is_rolled_back(fleet: Fleet) -> None:
    stage = fleet.stage
    demo.spoil_golden_outputs(stage.folder / "release-1", stage.folder / "release-2")
    stage.fieldfare("release", "add", stage.folder / "release-2")
    stage.fieldfare("rollout", "start", "digits", "--to", 'hw = rpi5 and label.site = "demo"', "--wait", expected=1)
    report = stage.asked("device", "show", "pi-1")["models"]["digits"]
    assert (report["current"]["release"], report["last"]["result"], report["last"]["release"]["release"]) == (1, "rolled_back", 2)
    assert "golden" in report["last"]["reason"]
    assert stage.asked("rollout", "show")["state"] == "failed"
    assert infer_golden(fleet, stage.folder / "release-1", "rpi5") <= 1.0


def test_a_release_whose_counter_does_not_grow_is_refused(fleet: Fleet, capfd: pytest.CaptureFixture[str]) -> None:
    fleet.stage.fieldfare("release", "add", fleet.stage.folder / "release-1", expected=2)
    assert "digits" in capfd.readouterr().err


def test_a_bundle_with_one_flipped_byte_is_refused(fleet: Fleet, capfd: pytest.CaptureFixture[str]) -> None:
    model = fleet.stage.folder / "release-2" / "artifacts" / "rpi5" / "model.onnx"
    raw = model.read_bytes()
    model.write_bytes(raw[:100] + bytes([raw[100] ^ 1]) + raw[101:])
    fleet.stage.fieldfare("release", "add", fleet.stage.folder / "release-2", expected=2)
    error = capfd.readouterr().err
    assert "artifacts/rpi5/model.onnx: expected sha256" in error
    assert error.count("\n") == 1


def test_a_second_server_on_the_same_port_is_refused_and_the_first_goes_on(fleet: Fleet, capfd: pytest.CaptureFixture[str]) -> None:
    url = json.loads((fleet.stage.fleet_dir / "connection.json").read_text())["url"]
    port = str(urlsplit(url).port)
    other = fleet.stage.folder / "other-fleet"
    fleet.stage.fieldfare("fleet", "up", "--dir", other, "--port", port, "--broker-port", str(free_port()), expected=2)
    assert port in capfd.readouterr().err
    assert fleet.is_online


REAL_MODELS = {
    "kws01": ("derived_dscnn_float.onnx", "mean=83,std=1.71027"),
    "mnist": ("mnist_cnn_float.onnx", "scale=0.00392157,mean=0.1307,std=0.3081"),
}


@pytest.mark.parametrize("name", REAL_MODELS)
def test_a_model_that_is_not_the_example_passes_the_gate_and_runs(fleet: Fleet, name: str) -> None:
    file, preprocess = REAL_MODELS[name]
    model, calibration, evaluation = (shared_file(f"{name}/{each}") for each in (file, "calib.npz", "eval.npz"))
    bundle = fleet.stage.folder / name
    data: list[str | Path] = ["--calibration", calibration, "--evaluation", evaluation, "--preprocess", preprocess]
    gate = ["--metric", "top1", "--max-drop", "0.01"]
    fleet.stage.fieldfare("compile", model, "--name", name, "--target", "rpi5", *data, *gate, "-o", bundle)
    fleet.stage.fieldfare("release", "add", bundle)
    fleet.stage.fieldfare("rollout", "start", name, "--to", "id = pi-1", "--wait")
    assert infer_golden(fleet, bundle, "rpi5") <= 1.0


def test_a_dead_broker_stops_neither_inference_nor_the_device_for_long(fleet: Fleet) -> None:
    broker = broker_of(fleet)
    assert broker is not None
    with subscribed(fleet.stage.fleet_dir, "ff/v1/+/health") as screen:
        screen.next(LATE_S)
    # The fleet starts its broker again; the device finds it by itself.
    broker.kill()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert infer_golden(fleet, fleet.stage.folder / "release-1", "rpi5") <= 1.0
    wait_until("the broker and the device back", lambda: broker_of(fleet) not in (None, broker) and fleet.is_online, LATE_S)


def broker_of(fleet: Fleet) -> psutil.Process | None:
    """Find the mosquitto that runs with this fleet's configuration."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or [""]
        if words[0].endswith("mosquitto") and any(str(fleet.stage.fleet_dir) in word for word in words):
            return process
    return None
