"""Makes up recordings of machines as an anomaly detector gets them: log-mel spectra in dB, five frames to a vector of 640."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Model = Callable[[Vectors], Vectors]
BANDS, FRAMES = 128, 5
# How many independent numbers a band's power is the mean of: few at low frequencies, so that they flicker most.
FREEDOM = np.linspace(0.6, 6, BANDS) ** 1.6 / 2 + 2


class Machines:
    """Machines that a detector was trained on: what they sound like is what it gives back almost unchanged."""

    def __init__(self, detector: Model, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        sketches = np.stack([self._sketch() for _ in range(1500)])
        heard = detector(detector(sketches))
        again = detector(heard)
        is_known = (np.square(heard - again).mean(axis=1) < 15) & (heard.min(axis=1) > -80) & (heard.max(axis=1) < 12)
        self.spectra = again[is_known, 2 * BANDS : 3 * BANDS]

    def neighbours(self) -> Vectors:
        """Return the spectra of one machine in its several states."""
        one = self.spectra[self._random.integers(len(self.spectra))]
        return self.spectra[np.argsort(np.square(self.spectra - one).mean(axis=1))[:25]]

    def clip(self, spectra: Vectors, anomaly_db: float = 0.0, frames: int = 40) -> Vectors:
        """Return one recording as vectors: a sound that wanders between two states, and flickers; an anomaly on top of it."""
        random = self._random
        first, second = spectra[random.integers(len(spectra), size=2)]
        share = np.clip(np.cumsum(random.normal(0, 0.02, frames)) + 0.1, 0, 0.35)[:, None]
        level = np.cumsum(random.normal(0, 0.3, frames))[:, None]
        freedom = FREEDOM * random.uniform(0.9, 1.2)
        sound = first * (1 - share) + second * share + (level - level.mean()) / 2
        sound = sound + 10 * np.log10(random.gamma(freedom, 1 / freedom, (frames, BANDS)))
        return np.stack([row.ravel() for row in _stacked(self._disturbed(sound, anomaly_db))]).astype(np.float32)

    def _disturbed(self, sound: npt.NDArray[np.float64], anomaly_db: float) -> npt.NDArray[np.float64]:
        """Add a tone with its harmonics, a hump, clicks or a rattle."""
        random, kind = self._random, self._random.integers(4)
        if anomaly_db == 0:
            return sound
        if kind == 0:
            tone = random.integers(3, 30) * np.arange(1, 5)
            sound[:, tone[tone < BANDS]] += anomaly_db * random.uniform(0.5, 1.2)
        elif kind == 1:
            sound += anomaly_db / 2 * np.exp(-0.5 * ((np.arange(BANDS) - random.uniform(0, BANDS)) / 12) ** 2)
        elif kind == 2:
            sound[random.random(len(sound)) < 0.08] += anomaly_db * 1.2
        else:
            rattle = np.sin(np.arange(len(sound)) * random.uniform(0.3, 2))[:, None]
            sound += anomaly_db * 0.35 * rattle * (np.arange(BANDS) > BANDS // 2)
        return sound

    def _sketch(self) -> Vectors:
        """Return a smooth falling spectrum."""
        place = np.linspace(0, 1, BANDS)
        waves = sum(self._random.normal(0, 6) * np.cos(np.pi * number * place) for number in range(1, 8))
        frame = self._random.uniform(-60, 0) + self._random.uniform(-40, 10) * place + waves
        return np.tile(frame, FRAMES).astype(np.float32)


def smooth_spectra(count: int, seed: int, low_db: float, high_db: float) -> Vectors:
    """Return vectors of smooth random spectra between two levels with noise on top, which no machine need have made."""
    random, place = np.random.default_rng(seed), np.linspace(0, 1, BANDS)
    vectors = []
    for _ in range(count):
        wave = 0.5 + 0.4 * np.cos(np.pi * random.uniform(1, 6) * place + random.uniform(0, 6)) * np.exp(-place)
        vectors.append((low_db + (high_db - low_db) * wave + random.normal(0, 2, (FRAMES, BANDS))).ravel())
    return np.stack(vectors).astype(np.float32)


def _stacked(sound: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return [frames - 4, 5, bands]: each vector begins one frame after the last."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, FRAMES, axis=0)
    return np.asarray(windows.transpose(0, 2, 1), np.float64)


def auc(normal: list[float], anomalous: list[float]) -> float:
    """Return how often an anomalous recording has the higher score, ties counting half."""
    ours, theirs = np.asarray(normal)[None], np.asarray(anomalous)[:, None]
    return float(np.mean((theirs > ours) + 0.5 * (theirs == ours)))
