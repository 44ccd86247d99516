"""Scores with torch: on a GPU, and of convolutional networks on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from monitor.beats.beat import SAMPLES
from monitor.model.batches import Explanation, RawScores
from monitor.model.tensors import cuda
from monitor.model.tensors.network import projected, rebuild
from monitor.model.tensors.normalise import centre, may_be_clipped, normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from monitor.model.manifest import Detector

CHUNK_BEATS = 2048  # on a CPU; what more of them take does not fit into the cache


class TensorArithmetic:
    """Scores and reconstructions on one device. A batch takes the same operations, however many beats it has."""

    def __init__(self, detector: Detector, device: str) -> None:
        self._device = torch.device(device)
        if self._device.type == "cuda":
            torch.set_float32_matmul_precision("highest")  # TF32 off: a score is the same number on every device
        self._pool = detector.score.pool
        self._network = rebuild(detector.network).to(self._device)
        projection = None if detector.projection is None else torch.tensor(detector.projection, device=self._device)
        self._projected = projected(self._network, projection)
        self._windows = _windows(detector.score.inputs, detector.score.window).to(self._device)
        typical = detector.prototypes
        self._prototypes = None if typical is None else _PrototypeTensors(typical, projection, self._device)

    @property
    def device(self) -> str:
        """As torch names it: `cpu`, `cuda`, `cuda:N`."""
        return str(self._device)

    def memory(self) -> dict[str, Callable[[], float]]:
        """Functions that give bytes of GPU memory by name. Empty on a CPU."""
        return cuda.memory(self._device) if self._device.type == "cuda" else {}

    def use_one_thread(self) -> None:
        """Compute on one core."""
        torch.set_num_threads(1)

    def score(self, samples: NDArray[np.float32]) -> RawScores:
        """Scores of beats (n, 140), of one at least. Raises MemoryError when the device has none left."""
        size = CHUNK_BEATS if self._device.type == "cpu" else len(samples)
        try:
            parts = [self._scored(samples[start : start + size]) for start in range(0, len(samples), size)]
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        return RawScores(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    @torch.inference_mode()
    def explain(self, samples: NDArray[np.float32]) -> Explanation:
        """Beats (n, 140) beside their reconstructions. Raises MemoryError when the device has none left."""
        try:
            beats = self._tensor(samples)
            seen = normalise(beats, self._pool)
            whole = (centre(beats, seen.high, seen.low) / (seen.high - seen.low) - seen.mean) / seen.sd
            made = self._network(seen.pooled)
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        if self._pool > 1:
            made = functional.interpolate(made[:, None], SAMPLES, mode="linear")[:, 0]
        return Explanation(whole.cpu().numpy(), made.cpu().numpy())

    @torch.inference_mode()
    def _scored(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Scores (n,) of beats (n, 140), which of them are flat (n,), and which may be clipped (n,)."""
        beats = self._tensor(samples)
        shapes = normalise(beats, self._pool)
        score = self._errors(shapes.pooled)
        suspect = may_be_clipped(beats, shapes.high, shapes.low)
        return score.cpu().numpy(), shapes.flat.cpu().numpy(), suspect.cpu().numpy()

    def _tensor(self, samples: NDArray[np.float32]) -> Tensor:
        beats = torch.from_numpy(np.require(samples, np.float32, ["C", "W"]))
        if self._device.type != "cuda":
            return beats.to(self._device)
        return beats.pin_memory().to(self._device, non_blocking=True)  # the operations after this wait for the copy

    def _errors(self, shapes: Tensor) -> Tensor:
        """Scores (n,) of normalised beats (n, m): steps 2 to 4 of `ScoreConfig`."""
        beats, residual = self._projected(shapes)
        score = self._largest(residual.T)
        if self._prototypes is None:
            return score
        return score.mul_(self._largest(self._prototypes.difference(beats.T))).sqrt_()

    def _largest(self, residual: Tensor) -> Tensor:
        """Residuals (m, n), a beat in each column → the largest mean square of any window (n,)."""
        windowed: Tensor = self._windows @ residual.square_()
        return windowed.amax(0)


class _PrototypeTensors:
    """Typical normal beats (k, m), and the difference of other beats from the nearest of them."""

    def __init__(self, prototypes: NDArray[np.float32], projection: Tensor | None, device: torch.device) -> None:
        beats = torch.tensor(prototypes, device=device)
        self._beats = beats if projection is None else beats @ projection
        self._halves = self._beats.square().sum(1, keepdim=True) / 2

    def difference(self, columns: Tensor) -> Tensor:
        """Projected beats (m, n), one in each column → each minus the nearest prototype (m, n).

        Where several are equally near, their mean is subtracted. |b - p|² is smallest where b·p - |p|²/2 is largest.
        """
        nearness = torch.addmm(self._halves, self._beats, columns, beta=-1)
        nearest = (nearness == nearness.amax(0)).float()  # argmax takes as long as all the rest
        return torch.addmm(columns, self._beats.T, nearest / nearest.sum(0), alpha=-1)


def _windows(inputs: int, window: int) -> Tensor:
    """The matrix (m - window + 1, m) whose product with squares (m, n) is their mean in each window; m is `inputs`."""
    starts = torch.arange(inputs - window + 1)
    position = torch.arange(inputs) - starts[:, None]
    return ((position >= 0) & (position < window)).float() / window
