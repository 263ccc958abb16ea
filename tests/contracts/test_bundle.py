"""A bundle is the same bytes for the same content, and no changed byte goes unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import codec
from contracts.bundle import MANIFEST, file_entry, read_bundle, write_bundle
from contracts.errors import ContractError, InvalidDocumentError, MissingFileError, TamperedError
from contracts.manifest import Artifact, EdgeTpuBuild, GateEvidence, Manifest, Tolerance, decode_manifest
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec

FILES = {
    "artifacts/cpu/model.onnx": b"model bytes",
    "golden/inputs.npz": b"inputs",
    "golden/cpu.npz": b"outputs",
    "report.json": b"{}",
}
SAMPLE = TensorSpec(name="image", datatype="UINT8", shape=(1, 8, 8))


def manifest() -> Manifest:
    artifact = Artifact(
        runtime="onnx",
        precision="int8",
        file="artifacts/cpu/model.onnx",
        inputs=(SAMPLE.model_copy(update={"datatype": "FP32"}),),
        outputs=(TensorSpec(name="scores", datatype="FP32", shape=(1, 10)),),
        golden_outputs="golden/cpu.npz",
        tolerance=Tolerance(absolute=0.01, same_argmax=True),
        gate=GateEvidence(
            metric="top1", float_value=0.98, compiled_value=0.97, drop=0.01, drop_upper=0.02, max_drop=0.02, samples=500, verdict="proven"
        ),
    )
    return Manifest(
        name="digits",
        release=1,
        inputs=(SAMPLE,),
        preprocess=Preprocess(scale=0.0625),
        golden_inputs="golden/inputs.npz",
        artifacts={"cpu": artifact},
        files={path: file_entry(raw) for path, raw in FILES.items()},
    )


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_content_makes_the_same_bytes(tmp_path: Path) -> None:
    write_bundle(tmp_path / "a", manifest(), FILES)
    write_bundle(tmp_path / "b", manifest(), dict(reversed(FILES.items())))
    assert all_bytes(tmp_path / "a") == all_bytes(tmp_path / "b")


def test_a_bundle_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_bundle(tmp_path / "a", manifest(), FILES)
    assert read_bundle(tmp_path / "a") == manifest()


def test_every_single_flipped_byte_is_refused_naming_the_file(tmp_path: Path) -> None:
    write_bundle(tmp_path / "a", manifest(), FILES)
    for name, raw in all_bytes(tmp_path / "a").items():
        for position in range(len(raw)):
            (tmp_path / "a" / name).write_bytes(raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :])
            with pytest.raises(ContractError) as caught:
                read_bundle(tmp_path / "a")
            # A changed digest line accuses the manifest it belongs to.
            assert (name if name != "manifest.sha256" else "manifest") in str(caught.value)
        (tmp_path / "a" / name).write_bytes(raw)
    assert read_bundle(tmp_path / "a") == manifest()


@pytest.mark.parametrize("name", [*FILES, MANIFEST, "manifest.sha256"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path / "a", manifest(), FILES)
    (tmp_path / "a" / name).unlink()
    with pytest.raises(MissingFileError, match=name):
        read_bundle(tmp_path / "a")


def test_a_bundle_that_cannot_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    write_bundle(tmp_path / "a", manifest(), FILES)
    before = all_bytes(tmp_path)
    with pytest.raises(TamperedError):
        write_bundle(tmp_path / "a", manifest(), {**FILES, "report.json": b"other"})
    assert all_bytes(tmp_path) == before


@pytest.mark.parametrize("path", ["../model.onnx", "/etc/passwd", "a/../b", ".hidden", "a//b", "a/"])
def test_a_path_that_leaves_the_bundle_is_no_path(path: str) -> None:
    document = manifest().model_dump(mode="json")
    document["files"][path] = document["files"].pop("report.json")
    with pytest.raises(InvalidDocumentError, match="files"):
        decode_manifest(codec.canonical(document))


def test_a_manifest_that_points_to_an_unlisted_file_is_refused() -> None:
    document = manifest().model_dump(mode="json")
    del document["files"]["golden/cpu.npz"]
    with pytest.raises(InvalidDocumentError, match=r"golden/cpu\.npz listed under files"):
        decode_manifest(codec.canonical(document))


def test_a_device_takes_the_first_of_its_targets_that_was_compiled() -> None:
    assert manifest().first_target_of(("coral", "cpu"), {"onnx"}) == "cpu"
    assert manifest().first_target_of(("coral",), {"onnx"}) is None
    assert manifest().first_target_of(("cpu",), {"litert"}) is None
    assert manifest().paths_for("cpu") == ("artifacts/cpu/model.onnx", "golden/cpu.npz", "golden/inputs.npz")


def test_a_device_with_an_accelerator_also_fetches_the_file_that_was_judged() -> None:
    built = EdgeTpuBuild(outcome="compiled", compiler="16.0", judged_file="report.json")
    compiled = manifest().artifacts["cpu"].model_copy(update={"edge_tpu": built})
    assert manifest().model_copy(update={"artifacts": {"cpu": compiled}}).paths_for("cpu") == (
        *("artifacts/cpu/model.onnx", "golden/cpu.npz", "golden/inputs.npz", "report.json"),
    )


def test_what_was_not_made_for_an_accelerator_has_no_word_of_it() -> None:
    assert "edge_tpu" not in manifest().model_dump(mode="json")["artifacts"]["cpu"]
