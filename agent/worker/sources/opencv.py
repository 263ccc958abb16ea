"""Touches cameras, streams and pictures through OpenCV; it is imported only in processes that may crash and hang alone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Protocol, TypeAlias

from agent.worker.errors import SourceError
from agent.worker.sources.frame import MAX_PIXELS, Order
from contracts.source_config import DEVICES

# OpenCV and FFmpeg would write the address, and so its password, into the log; a picture that swells when it is unpacked is none;
# and the GPU, where there is one, is the model's.
TERMS = {
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MAX_PIXELS),
    "OPENCV_OPENCL_RUNTIME": "disabled",
}
os.environ.update(TERMS)

import cv2  # noqa: E402 - it reads its environment while it is imported
import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

Pixels: TypeAlias = npt.NDArray[np.uint8]
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
# Who writes a file and pauses for longer should rename it into the folder.
SETTLE_S = 0.2
# A cable that is too long spoils some of them.
MAX_SPOILT = 10
A_DAY_S = 86400.0
BEST_QUALITY, WORST_QUALITY, QUALITY_STEP = 90, 30, 20


class Eye(Protocol):
    """Something that pictures come from."""

    def pass_by(self) -> None:
        """Wait for the next picture and let the one before go; raise SourceError when there is none."""

    def take(self) -> Pixels | None:
        """Return RGB pixels [height, width, 3], None when there is nothing new; raise SourceError."""


class Camera:
    """A camera or a stream, whose pictures pass by, or a recording, whose pictures wait."""

    def __init__(self, order: Order) -> None:
        """Open it, which may take long; raise SourceError."""
        source = order.source
        self._least = order.least
        self._is_live = source.is_live
        device = f"{DEVICES}video{source.camera}" if source.camera.isdigit() else source.camera
        if device.startswith("/"):
            _check_access(device)
        api = cv2.CAP_V4L2 if device.startswith(DEVICES) else cv2.CAP_FFMPEG
        self._capture = cv2.VideoCapture(device, api)
        if not self._capture.isOpened():
            raise SourceError("it cannot be opened: another program may hold it, or its address, user or password be wrong")

    def pass_by(self) -> None:
        """Take the next picture from the driver, undecoded where it can be."""
        if not self._capture.grab():
            raise SourceError("it gives no more pictures")

    def take(self) -> Pixels | None:
        """Decode the newest picture."""
        if not self._is_live:
            self.pass_by()
        for _ in range(MAX_SPOILT):
            is_there, picture = self._capture.retrieve()
            if is_there:
                return _rgb(np.asarray(picture, np.uint8), self._least)
            self.pass_by()
        raise SourceError(f"it gave {MAX_SPOILT} pictures in a row that cannot be decoded")


class Folder:
    """The newest image of a folder, once."""

    def __init__(self, order: Order) -> None:
        """Look into a folder that need not be there yet."""
        self._folder = Path(order.source.folder)
        self._least = order.least
        self._seen: tuple[int, str, int] | None = None

    def pass_by(self) -> None:
        """Files wait."""

    def take(self) -> Pixels | None:
        """Decode the newest file, unless it was seen, is being written, or is no image."""
        newest = self._newest()
        if newest is None or newest == self._seen:
            return None
        # A clock that was set back leaves files of the future, which can only be watched for a while.
        age_s = time.time() - newest[0] / 1e9
        if not SETTLE_S < age_s < A_DAY_S:
            time.sleep(SETTLE_S)
            if self._newest() != newest:
                return None
        self._seen = newest
        try:
            picture = cv2.imread(str(self._folder / newest[1]), cv2.IMREAD_COLOR)
        except cv2.error:
            return None  # more pixels than a picture may have
        return None if picture is None else _rgb(np.asarray(picture, np.uint8), self._least)

    def _newest(self) -> tuple[int, str, int] | None:
        try:
            with os.scandir(self._folder) as entries:
                files = [_stamp(entry) for entry in entries if Path(entry.name).suffix.lower() in SUFFIXES]
        except OSError as error:
            raise SourceError(f"its folder cannot be read: {error.strerror}") from error
        return max((file for file in files if file is not None), default=None)


def eye_for(order: Order) -> Eye:
    """Open what a source names; raise SourceError."""
    return Camera(order) if order.source.camera else Folder(order)


def jpeg(pixels: Pixels, max_bytes: int) -> bytes:
    """Return RGB pixels as JPEG, as good and as large as fits; raise SourceError when nothing does."""
    picture = pixels[..., ::-1]
    while min(picture.shape[:2]) > 1:
        for quality in range(BEST_QUALITY, WORST_QUALITY - 1, -QUALITY_STEP):
            is_made, encoded = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, quality))
            if is_made and encoded.nbytes <= max_bytes:
                return encoded.tobytes()
        height, width = picture.shape[:2]
        picture = np.asarray(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)
    raise SourceError(f"its frame as JPEG: expected at most {max_bytes} bytes, found more")


def _rgb(picture: Pixels, least: tuple[int, int] | None) -> Pixels:
    if picture.ndim != len("HWC") or picture.shape[0] * picture.shape[1] > MAX_PIXELS:
        raise SourceError(f"its picture: expected colour and at most {MAX_PIXELS} pixels, found {list(picture.shape)}")
    height, width = picture.shape[:2]
    factor = 1 if least is None else min(height // least[0], width // least[1])
    if factor > 1:
        picture = np.asarray(cv2.resize(picture, (width // factor, height // factor), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _stamp(entry: os.DirEntry[str]) -> tuple[int, str, int] | None:
    try:
        status = entry.stat()
    except FileNotFoundError:
        return None  # taken away since the folder was read
    # The time of its arrival: who copies a file may keep the time at which it was written.
    return status.st_ctime_ns, entry.name, status.st_size


def _check_access(path: str) -> None:
    if not Path(path).exists():
        raise SourceError("it is not there: is it plugged in?")
    if not os.access(path, os.R_OK):
        raise SourceError("this user may not open it: usermod -aG video for a camera's group")
