"""What a device says of itself, read from a system laid out in a folder as Jetsons and Corals have it."""

from __future__ import annotations

from pathlib import Path

import anyio
import numpy as np
import onnxruntime

from agent.adapters.platform_facts import PlatformFacts
from agent.core.platform import Platform


def read(root: Path) -> Platform:
    return anyio.run(PlatformFacts(root).read)


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_jetson_tells_of_its_board_its_release_and_its_libraries(tmp_path: Path) -> None:
    write(tmp_path, "etc/os-release", 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nVERSION_ID="22.04"\n')
    write(tmp_path, "etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 38968081\n# more\n")
    write(tmp_path, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    write(tmp_path, "usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0", "tensorrt")
    write(tmp_path, "usr/local/cuda/lib64/libcudart.so.12.6.68", "cuda")
    (tmp_path / "usr/lib/aarch64-linux-gnu/libnvinfer.so.10").symlink_to("libnvinfer.so.10.3.0")

    facts = read(tmp_path).facts

    assert facts["system"] == "Ubuntu 22.04.5 LTS 22.04"
    assert facts["l4t"] == "# R36 (release), REVISION: 4.3, GCID: 38968081"
    assert facts["gpu"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert facts["tensorrt"] == "libnvinfer.so.10.3.0 (8 bytes)"
    assert facts["cuda"] == "libcudart.so.12.6.68 (4 bytes)"


def test_another_build_of_a_delegate_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/aarch64-linux-gnu/libedgetpu.so.1.0", "one")
    before = read(tmp_path)
    write(tmp_path, "usr/lib/aarch64-linux-gnu/libedgetpu.so.1.0", "other")
    assert read(tmp_path).changes_since(before) == "edgetpu libedgetpu.so.1.0 (3 bytes) -> libedgetpu.so.1.0 (5 bytes)"


def test_a_processor_that_can_do_less_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", "processor : 0\nBogoMIPS : 108.00\nFeatures : fp asimd asimddp\nCPU part : 0xd0b\n\n" * 4)
    before = read(tmp_path)
    write(tmp_path, "proc/cpuinfo", "processor : 0\nBogoMIPS : 90.00\nFeatures : fp asimd asimddp\nCPU part : 0xd0b\n")
    assert read(tmp_path) == before
    write(tmp_path, "proc/cpuinfo", "processor : 0\nFeatures : fp asimd\nCPU part : 0xd0b\n")
    assert read(tmp_path).changes_since(before).startswith("cpu 0xd0b features ")


def test_this_machine_is_the_same_at_two_looks_and_names_its_runtimes() -> None:
    here = read(Path("/"))
    assert here == read(Path("/"))
    assert (here.facts["onnx"], here.facts["numpy"]) == (onnxruntime.__version__, np.__version__)
    assert {"kernel", "system", "cpu", "agent"} <= here.facts.keys()
