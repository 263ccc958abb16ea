"""A real worker with a stand-in accelerator, a folder: it computes by ONNX Runtime while the folder lacks certain files.

    python -m tests.sim.accelerator_worker FOLDER '<WorkerSetup>'

`unplugged` makes every call and every load fail, as a USB accelerator does that was pulled out; `stuck` makes a call last until it is gone;
`slow` makes a load last as long, and `dozing` tells which program's. Where there is an `exclusive`, one process at a time holds the
device, as it is with an Edge TPU.
"""

from __future__ import annotations

import fcntl
import sys
import time
from pathlib import Path

from agent.leash import leash
from agent.runtimes import onnx
from agent.runtimes.errors import InferenceError, ModelUnloadableError
from agent.runtimes.loaders import LOADERS
from agent.runtimes.port import Arrays, ModelSource
from agent.worker.main import main


class Accelerator:
    """A runtime on a device that can be pulled out."""

    provider = preferred_provider = "stand-in accelerator"
    name = "onnx"

    def __init__(self, device: Path, source: ModelSource) -> None:
        """Load a model; raise ModelUnloadableError without the device."""
        if (device / "unplugged").exists():
            raise ModelUnloadableError(str(source.file), "the stand-in accelerator", "no device")
        self.is_exclusive = (device / "exclusive").exists()
        if self.is_exclusive:
            # Held until this process ends, however that happens.
            self._hold = (device / "exclusive").open()
            try:
                fcntl.flock(self._hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ModelUnloadableError(str(source.file), "the stand-in accelerator", "another process holds it") from error
        while (device / "slow").exists():
            (device / "dozing").write_text(Path(sys.argv[0]).name)
            time.sleep(0.05)
        self._device = device
        self._inner = onnx.load(source)
        self.version, self.placement = self._inner.version, self._inner.placement
        self.inputs, self.outputs = self._inner.inputs, self._inner.outputs

    def infer(self, inputs: Arrays) -> Arrays:
        """Compute, while the device is there."""
        while (self._device / "stuck").exists():
            time.sleep(0.01)
        if (self._device / "unplugged").exists():
            raise InferenceError(self.name, "the transport endpoint is not connected")
        return self._inner.infer(inputs)


if __name__ == "__main__":
    leash()
    folder = Path(sys.argv[1])
    LOADERS["onnx"] = lambda source: Accelerator(folder, source)
    main(sys.argv[2:])
