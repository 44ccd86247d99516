"""Scores beats: the reconstruction error as the model's `ScoreConfig` defines it, or why a beat has none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from monitor.model.batches import Batches, Explanation
from monitor.model.dense import DenseArithmetic
from monitor.model.device import CPU, require_torch, resolve
from monitor.model.normalise import clipped_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from monitor.model.batches import Arithmetic
    from monitor.model.manifest import Detector

__all__ = ["CAUSES", "SCORED", "Explanation", "Scorer", "Scores", "arithmetic"]

CAUSES = ("flat-line", "saturated", "score-not-finite")
SCORED, FLAT, SATURATED, NOT_FINITE = range(4)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of n beats."""

    score: NDArray[np.float32]  # (n,), NaN where the beat could not be scored
    cause: NDArray[np.int8]  # (n,), why not: 0 = scored, else 1 + index into CAUSES


class Scorer:
    """Scores beats on one device. When its memory runs out, batches are halved, and at last scored on the CPU.

    `device` is `auto`, `cpu`, `cuda` or `cuda:N`, `batch_size` the most beats at once. `on_fallback` is called each
    time that a batch did not fit. Raises RefusedError when the device is not there, or torch, where it is needed.
    """

    def __init__(
        self, detector: Detector, device: str, batch_size: int, on_fallback: Callable[[], None] = lambda: None
    ) -> None:
        self._arithmetic = arithmetic(detector, resolve(device))
        self._batches = Batches(self._arithmetic, partial(arithmetic, detector, CPU), batch_size, on_fallback)

    @property
    def device(self) -> str:
        """As torch names it: `cpu`, `cuda`, `cuda:N`."""
        return self._arithmetic.device

    def memory(self) -> dict[str, Callable[[], float]]:
        """Functions that give bytes of GPU memory, callable at any time from any thread, by name. Empty on a CPU."""
        return self._arithmetic.memory()

    def use_one_thread(self) -> None:
        """Score on one core: where cores are shared, two threads reach a fraction of the speed of one."""
        self._arithmetic.use_one_thread()

    def score(self, samples: NDArray[np.float32]) -> Scores:
        """Scores of beats (n, 140) in any amplitude unit; n may be 0. Raises MemoryError when even the CPU has none."""
        found = self._batches.score(samples)
        cause = np.where(np.isfinite(found.score), SCORED, NOT_FINITE).astype(np.int8)
        suspects = np.flatnonzero(found.suspect)
        cause[suspects[clipped_rows(samples[suspects])]] = SATURATED
        cause[found.flat] = FLAT
        found.score[cause != SCORED] = np.nan
        return Scores(found.score, cause)

    def explain(self, samples: NDArray[np.float32]) -> Explanation:
        """Beats (n, 140) beside their reconstructions, for the few beats that people look at."""
        return self._batches.explain(samples)


def arithmetic(detector: Detector, device: str) -> Arithmetic:
    """The computation of a detector's scores on a device: NumPy for dense networks on the CPU, else torch.

    Raises RefusedError where torch is needed and not installed.
    """
    if device == CPU and detector.network.config.is_dense:
        return DenseArithmetic(detector)
    require_torch(f"device {device}" if device != CPU else "a convolutional network")
    from monitor.model.tensors.arithmetic import TensorArithmetic  # noqa: PLC0415 - imports torch, for seconds

    return TensorArithmetic(detector, device)
