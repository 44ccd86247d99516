"""Scores beats: the reconstruction error as the model's `ScoreConfig` defines it, in batches on the CPU or a GPU.

A batch takes the same few tensor operations, however many beats it has.
"""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from monitor.beats.beat import SAMPLES
from monitor.model.network import is_built_here, projected, resolve
from monitor.model.normalise import centre, clipped_rows, may_be_clipped, normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from monitor.model.manifest import Detector

log = logging.getLogger(__name__)

CAUSES = ("flat-line", "saturated", "score-not-finite")
SCORED, FLAT, SATURATED, NOT_FINITE = range(4)
# Beats at once on a CPU: 0.90 µs for a beat. More leave the cache (0.93 µs at 8192), fewer pay for calls (1.23 at 256).
CPU_BEATS = 2048


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of n beats."""

    score: NDArray[np.float32]  # (n,), NaN where the beat could not be scored
    cause: NDArray[np.int8]  # (n,), why not: 0 = scored, else 1 + index into CAUSES


@dataclass(frozen=True, slots=True)
class Explanation:
    """Beats beside their reconstructions, both normalised to mean 0 and standard deviation 1."""

    samples: NDArray[np.float32]  # (n, 140)
    reconstruction: NDArray[np.float32]  # (n, 140), stretched from the network's output where that is pooled


class Scorer:
    """Scores beats on one device. When its memory runs out, batches are halved, and at last scored on the CPU.

    `device` is `auto`, `cpu`, `cuda` or `cuda:N`, `batch_size` the most beats at once. `on_fallback` is called each
    time that a batch did not fit. Raises RefusedError when the device is not there.
    """

    def __init__(
        self, detector: Detector, device: str, batch_size: int, on_fallback: Callable[[], None] = lambda: None
    ) -> None:
        self._device = resolve(device)
        if self._device.type == "cuda":
            torch.set_float32_matmul_precision("highest")  # TF32 off: a score is the same number on every device
        self._detector = detector
        self._batch_size = min(batch_size, CPU_BEATS) if self._device.type == "cpu" else batch_size
        self._on_fallback = on_fallback
        self._arithmetic = _Arithmetic(detector, self._device)

    @property
    def device(self) -> str:
        """As torch names it: `cpu`, `cuda`, `cuda:N`."""
        return str(self._device)

    def memory(self) -> dict[str, Callable[[], float]]:
        """Functions that give bytes of GPU memory, callable at any time from any thread, by name. Empty on a CPU."""
        if self._device.type != "cuda":
            return {}
        total = torch.cuda.get_device_properties(self._device).total_memory
        return {
            "allocated": partial(torch.cuda.memory_allocated, self._device),
            "reserved": partial(torch.cuda.memory_reserved, self._device),
            "total": lambda: total,
        }

    def score(self, samples: NDArray[np.float32]) -> Scores:
        """Scores of beats (n, 140) in any amplitude unit; n may be 0. Raises MemoryError when even the CPU has none."""
        score = np.empty(len(samples), np.float32)
        cause = np.empty(len(samples), np.int8)
        arithmetic, size, start = self._arithmetic, self._batch_size, 0
        while start < len(samples):
            rows = slice(start, start + size)
            try:
                score[rows], cause[rows] = arithmetic.score(samples[rows])
            except torch.OutOfMemoryError:
                arithmetic, size = self._smaller(arithmetic, size)
                continue
            start += size
        return Scores(score, cause)

    def explain(self, samples: NDArray[np.float32]) -> Explanation:
        """Beats (n, 140) beside their reconstructions, for the few beats that people look at."""
        try:
            return Explanation(*self._arithmetic.explain(samples))
        except torch.OutOfMemoryError:
            self._on_fallback()
            return Explanation(*self._spare.explain(samples))

    def _smaller(self, arithmetic: _Arithmetic, size: int) -> tuple[_Arithmetic, int]:
        """What to try after a batch of `size` did not fit: half of it, or the CPU."""
        self._on_fallback()
        if size > 1:
            log.warning("no memory on %s for %d beats at once: trying %d", arithmetic.device, size, size // 2)
            return arithmetic, size // 2
        if arithmetic is not self._arithmetic:
            raise MemoryError("no memory to score a single beat on the CPU")
        log.warning("no memory on %s for a single beat: scoring this batch on the CPU", arithmetic.device)
        return self._spare, self._batch_size

    @cached_property
    def _spare(self) -> _Arithmetic:
        """On the CPU. Built once: torch never frees what it has traced."""
        return _Arithmetic(self._detector, torch.device("cpu"))


class _Arithmetic:
    """The computation of scores on one device."""

    def __init__(self, detector: Detector, device: torch.device) -> None:
        self.device = device
        self._pool = detector.score.pool
        self._network = copy.deepcopy(detector.network).to(device)
        projection = None if detector.projection is None else torch.tensor(detector.projection, device=device)
        self._projected = projected(self._network, projection)
        self._windows = _windows(detector.score.inputs, detector.score.window).to(device)
        prototypes = detector.prototypes
        self._prototypes = None if prototypes is None else _Prototypes(prototypes, projection, device)
        is_traced = device.type == "cpu" and is_built_here(self._network)
        self._steps = _in_one_call(self._scored) if is_traced else self._scored

    @torch.inference_mode()
    def score(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Scores (n,) and causes (n,) of beats (n, 140)."""
        beats = self._tensor(samples)
        score, cause, suspect, is_any = self._steps(beats)
        if is_any:
            rows = suspect.nonzero()[:, 0]
            rows = rows[clipped_rows(beats[rows])]
            rows = rows[cause[rows] != FLAT]
            cause[rows], score[rows] = SATURATED, torch.nan
        return score.cpu().numpy(), cause.cpu().numpy()

    def _scored(self, beats: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scores (n,) and causes (n,) of beats (n, 140), which of them may be clipped (n,), and whether any may."""
        shapes = normalise(beats, self._pool)
        score = self._errors(shapes.pooled)
        cause = torch.where(score.isfinite(), SCORED, NOT_FINITE).masked_fill_(shapes.flat, FLAT).to(torch.int8)
        score = score.masked_fill_(cause != SCORED, torch.nan)
        suspect = may_be_clipped(beats, shapes.high, shapes.low)
        return score, cause, suspect, suspect.any()

    @torch.inference_mode()
    def explain(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Normalised beats (n, 140) and their reconstructions (n, 140)."""
        beats = self._tensor(samples)
        seen = normalise(beats, self._pool)
        whole = (centre(beats, seen.high, seen.low) / (seen.high - seen.low) - seen.mean) / seen.sd
        made = self._network(seen.pooled)
        if self._pool > 1:
            made = functional.interpolate(made[:, None], SAMPLES, mode="linear")[:, 0]
        return whole.cpu().numpy(), made.cpu().numpy()

    def _tensor(self, samples: NDArray[np.float32]) -> Tensor:
        beats = torch.from_numpy(np.require(samples, np.float32, ["C", "W"]))
        if self.device.type != "cuda":
            return beats.to(self.device)
        return beats.pin_memory().to(self.device, non_blocking=True)  # the operations after this wait for the copy

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


class _Prototypes:
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


def _in_one_call(steps: Callable[[Tensor], tuple[Tensor, ...]]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """The same operations, traced by torch, which runs them without taking Python's lock in between.

    One by one, each of the thirty operations waits while another thread holds the lock: scoring beside another thread
    took up to four times as long. PyTorch 2.11 says that TorchScript has no future, and names nothing else that does
    this. Where tracing is not possible, the operations run one by one.
    """
    beats = torch.linspace(-1, 1, 2 * SAMPLES).view(2, SAMPLES)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            traced: Callable[[Tensor], tuple[Tensor, ...]] = torch.jit.trace(steps, beats, check_trace=False)  # type: ignore[no-untyped-call]
    except (AttributeError, RuntimeError) as error:
        log.info("scoring step by step, more slowly: torch cannot trace the operations (%s)", error)
        return steps
    return traced


def _windows(inputs: int, window: int) -> Tensor:
    """The matrix (m - window + 1, m) whose product with squares (m, n) is their mean in each window; m is `inputs`."""
    starts = torch.arange(inputs - window + 1)
    position = torch.arange(inputs) - starts[:, None]
    return ((position >= 0) & (position < window)).float() / window


def use_one_thread() -> None:
    """Score on one core: where cores are shared, two threads of torch reach a tenth of the speed of one."""
    torch.set_num_threads(1)
