"""Batches that fit into the memory of the device: one that does not is halved, and at last scored on the CPU."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Beats beside their reconstructions, both normalised to mean 0 and standard deviation 1."""

    samples: NDArray[np.float32]  # (n, 140)
    reconstruction: NDArray[np.float32]  # (n, 140), stretched from the network's output where that is pooled


@dataclass(frozen=True, slots=True)
class RawScores:
    """Scores of n beats, before anyone has asked whether they mean something."""

    score: NDArray[np.float32]  # (n,)
    flat: NDArray[np.bool_]  # (n,), whether the beat is a flat line
    suspect: NDArray[np.bool_]  # (n,), whether the beat may be clipped

    @classmethod
    def empty(cls, beats: int) -> RawScores:
        """Room for the scores of so many beats."""
        return cls(np.empty(beats, np.float32), np.empty(beats, np.bool_), np.empty(beats, np.bool_))


class Arithmetic(Protocol):
    """The computation of scores on one device. Both functions raise MemoryError when the device has none left."""

    @property
    def device(self) -> str:
        """As torch names it: `cpu`, `cuda`, `cuda:N`."""

    def score(self, samples: NDArray[np.float32]) -> RawScores:
        """Scores of beats (n, 140)."""

    def explain(self, samples: NDArray[np.float32]) -> Explanation:
        """Beats (n, 140) beside their reconstructions."""

    def memory(self) -> dict[str, Callable[[], float]]:
        """Functions that give bytes of the device's memory by name, for a GPU."""

    def use_one_thread(self) -> None:
        """Compute on one core."""


class Batches:
    """Scores batches of at most `batch_size` beats with `arithmetic`.

    A batch for which there is no memory is halved; where a single beat is too much, `spare` makes the arithmetic that
    serves instead. `on_fallback` is called each time that a batch did not fit.
    """

    def __init__(
        self, arithmetic: Arithmetic, spare: Callable[[], Arithmetic], batch_size: int, on_fallback: Callable[[], None]
    ) -> None:
        self._arithmetic = arithmetic
        self._make_spare = spare
        self._batch_size = batch_size
        self._on_fallback = on_fallback

    def score(self, samples: NDArray[np.float32]) -> RawScores:
        """Scores of beats (n, 140); n may be 0. Raises MemoryError when even the spare arithmetic has no memory."""
        found = RawScores.empty(len(samples))
        arithmetic, size, start = self._arithmetic, self._batch_size, 0
        while start < len(samples):
            rows = slice(start, start + size)
            try:
                part = arithmetic.score(samples[rows])
            except MemoryError:
                arithmetic, size = self._smaller(arithmetic, size)
                continue
            found.score[rows], found.flat[rows], found.suspect[rows] = part.score, part.flat, part.suspect
            start += size
        return found

    def explain(self, samples: NDArray[np.float32]) -> Explanation:
        """Beats (n, 140) beside their reconstructions, for the few beats that people look at."""
        try:
            return self._arithmetic.explain(samples)
        except MemoryError:
            self._on_fallback()
            return self._spare.explain(samples)

    def _smaller(self, arithmetic: Arithmetic, size: int) -> tuple[Arithmetic, int]:
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
    def _spare(self) -> Arithmetic:
        return self._make_spare()
