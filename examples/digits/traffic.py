"""Sends digit images to one agent without pause, and counts what came back."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.client import Client, ClientError


@dataclass(eq=False)
class Traffic(threading.Thread):
    """One caller on one device; `stop` ends it."""

    url: str
    token: str
    images: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    right: int = 0
    wrong: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True, name=f"traffic to {self.url}")
        self._stopping = threading.Event()

    def run(self) -> None:
        """Send image after image, about fifty a second."""
        client = Client(self.url, self.token)
        position = 0
        while not self._stopping.wait(0.02):
            image = self.images[position % len(self.images)]
            label = int(self.labels[position % len(self.labels)])
            position += 1
            try:
                answer = client.infer("digits", {"image": image[np.newaxis, np.newaxis]})
            except ClientError as error:
                self.failures.append(str(error))
                continue
            scores = next(iter(answer.values()))
            self.right += int(scores.argmax()) == label
            self.wrong += int(scores.argmax()) != label
        client.close()

    def stop(self) -> None:
        """End after the request under way."""
        self._stopping.set()
        self.join(30)

    @property
    def answered(self) -> int:
        """Requests that were answered."""
        return self.right + self.wrong


def load_images(file: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return samples [n, 8, 8] and their labels [n]."""
    with np.load(file) as arrays:
        return arrays["x"], arrays["y"]
