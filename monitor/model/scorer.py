"""Beats → scores: the reconstruction error as the model defines it, in batches on the CPU or a GPU.

Columnar: a batch costs the same few tensor operations whatever its size.
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
CPU_BEATS = (
    2048  # at once: more of them leave the cache, fewer pay for the calls (1.23 us a beat at 256, 0.90, 0.93 at 8192)
)


@dataclass(frozen=True, slots=True)
class Scores:
    """Columns of n beats."""

    score: NDArray[np.float32]  # NaN where the beat could not be scored
    cause: NDArray[np.int8]  # 0 = scored, else 1 + index into CAUSES


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the network saw and what it made of it, in normalised units: two arrays (n, 140)."""

    samples: NDArray[np.float32]
    reconstruction: NDArray[np.float32]


class Scorer:
    """Scores beats on one device; when its memory runs out, in smaller batches and at last on the CPU.

    `on_fallback` is called each time a batch did not fit. Raises RefusedError when the device is not there.
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
        return str(self._device)

    def memory(self) -> dict[str, Callable[[], float]]:
        """How to ask for the bytes in use on the GPU, at any time and from any thread; empty on a CPU."""
        if self._device.type != "cuda":
            return {}
        total = torch.cuda.get_device_properties(self._device).total_memory
        return {
            "allocated": partial(torch.cuda.memory_allocated, self._device),
            "reserved": partial(torch.cuda.memory_reserved, self._device),
            "total": lambda: total,
        }

    def score(self, samples: NDArray[np.float32]) -> Scores:
        """Scores of beats (n, 140) in any amplitude unit; n may be 0."""
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
        """Beats (n, 140) beside their reconstruction, for the few that people look at."""
        try:
            return Explanation(*self._arithmetic.explain(samples))
        except torch.OutOfMemoryError:
            self._on_fallback()
            return Explanation(*self._spare.explain(samples))

    def _smaller(self, arithmetic: _Arithmetic, size: int) -> tuple[_Arithmetic, int]:
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
        """On the CPU, once: torch keeps what it has recorded for ever."""
        return _Arithmetic(self._detector, torch.device("cpu"))


class _Arithmetic:
    """The score's arithmetic on one device."""

    def __init__(self, detector: Detector, device: torch.device) -> None:
        self.device = device
        self._pool = detector.score.pool
        self._network = copy.deepcopy(detector.network).to(device)
        projection = None if detector.projection is None else torch.tensor(detector.projection, device=device)
        self._projected = projected(self._network, projection)
        self._windows = _windows(detector.score.inputs, detector.score.window).to(device)
        self._typical = None if detector.prototypes is None else _Typical(detector.prototypes, projection, device)
        is_recorded = device.type == "cpu" and is_built_here(self._network)
        self._steps = _in_one_call(self._scored) if is_recorded else self._scored

    @torch.inference_mode()
    def score(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        beats = self._tensor(samples)
        score, cause, suspect, is_any = self._steps(beats)
        if is_any:
            rows = suspect.nonzero()[:, 0]
            rows = rows[clipped_rows(beats[rows])]
            rows = rows[cause[rows] != FLAT]
            cause[rows], score[rows] = SATURATED, torch.nan
        return score.cpu().numpy(), cause.cpu().numpy()

    def _scored(self, beats: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scores and causes (n,) of beats (n, 140), which of these may be clipped, and whether any."""
        shapes = normalise(beats, self._pool)
        score = self._errors(shapes.pooled)
        cause = torch.where(score.isfinite(), SCORED, NOT_FINITE).masked_fill_(shapes.flat, FLAT).to(torch.int8)
        score = score.masked_fill_(cause != SCORED, torch.nan)
        suspect = may_be_clipped(beats, shapes.high, shapes.low)
        return score, cause, suspect, suspect.any()

    @torch.inference_mode()
    def explain(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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
        return beats.pin_memory().to(self.device, non_blocking=True)  # what follows is queued behind the copy

    def _errors(self, shapes: Tensor) -> Tensor:
        """(n, m) → (n,): the largest windowed mean square of the projected residual.

        With typical beats, the geometric mean of it and of the same for what the nearest of them leaves.
        """
        beats, residual = self._projected(shapes)
        score = self._largest(residual.T)
        return score if self._typical is None else score.mul_(self._largest(self._typical.left(beats.T))).sqrt_()

    def _largest(self, residual: Tensor) -> Tensor:
        """(m, n) → (n,): the largest mean square of any window."""
        windowed: Tensor = self._windows @ residual.square_()
        return windowed.amax(0)


class _Typical:
    """A few typical beats, of which the nearest stands for a beat."""

    def __init__(self, prototypes: NDArray[np.float32], projection: Tensor | None, device: torch.device) -> None:
        beats = torch.tensor(prototypes, device=device)
        self._beats = beats if projection is None else beats @ projection
        self._halves = self._beats.square().sum(1, keepdim=True) / 2

    def left(self, columns: Tensor) -> Tensor:
        """(m, n) → (m, n): projected beats without the nearest typical one, or the mean of equally near ones."""
        nearness = torch.addmm(self._halves, self._beats, columns, beta=-1)
        nearest = (nearness == nearness.amax(0)).float()  # argmax takes as long as all the rest
        return torch.addmm(columns, self._beats.T, nearest / nearest.sum(0), alpha=-1)


def _in_one_call(steps: Callable[[Tensor], tuple[Tensor, ...]]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """The same operations, recorded: torch walks through them without asking for the interpreter's lock in between.

    One by one, each of thirty waits for whatever holds it: scoring beside another thread took up to four times as long.
    torch says that TorchScript has no future (2.11), and names nothing else that does this; where it cannot be had, the
    steps are taken one by one.
    """
    beats = torch.linspace(-1, 1, 2 * SAMPLES).view(2, SAMPLES)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            recorded: Callable[[Tensor], tuple[Tensor, ...]] = torch.jit.trace(steps, beats, check_trace=False)  # type: ignore[no-untyped-call]
    except (AttributeError, RuntimeError) as error:
        log.info("scoring step by step, more slowly: torch records nothing (%s)", error)
        return steps
    return recorded


def _windows(inputs: int, window: int) -> Tensor:
    """The (m - window + 1, m) matrix that takes squares to their mean in each window."""
    starts = torch.arange(inputs - window + 1)
    place = torch.arange(inputs) - starts[:, None]
    return ((place >= 0) & (place < window)).float() / window


def use_one_thread() -> None:
    """Score on one core: on shared cores two threads of torch cost this network nine tenths of its speed."""
    torch.set_num_threads(1)
