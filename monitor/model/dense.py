"""Scores of dense networks on a CPU, with NumPy: matrix products, and passes over arrays that stay in the cache.

A beat is a column in every array. Biases are part of the matrices: each array of activations begins with a row of ones.
Python's lock is given back in each NumPy call and taken again after it, so there are few calls for a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from monitor.beats.beat import SAMPLES
from monitor.model.batches import Explanation, RawScores
from monitor.model.device import CPU
from monitor.model.normalise import may_be_clipped, normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from monitor.model.manifest import Detector
    from monitor.model.network import Network

    Floats = NDArray[np.float32]
    Exact = NDArray[np.float64]

CHUNK_BEATS = 2048  # 512 are 1.1 times as fast alone, and half as fast beside a thread that wants Python's lock as well
CHUNK_FLOATS = 2_000_000  # of all arrays of a chunk: a wide network takes fewer beats at once


class DenseArithmetic:
    """Scores and reconstructions. Several threads may use it at a time: each call has memory of its own."""

    device = CPU

    def __init__(self, detector: Detector) -> None:
        self._score = detector.score
        self._layers = _Layers(detector.network, detector.projection)
        self._plain = _Layers(detector.network, None)
        typical = detector.prototypes
        self._prototypes = None if typical is None else _Prototypes(typical, detector.projection)
        self._residuals = 1 if typical is None else 2
        self._chunk = min(CHUNK_BEATS, max(1, CHUNK_FLOATS // _Memory.of(1, self._layers, self._residuals).rows))

    def memory(self) -> dict[str, Callable[[], float]]:
        """Nothing: that is for a GPU."""
        return {}

    def use_one_thread(self) -> None:
        """Let matrix products run on one core, as long as the process lives; other libraries keep their threads.

        threadpoolctl finds OpenBLAS, MKL and BLIS, which NumPy's wheels use but those for macOS (Accelerate).
        """
        threadpool_limits(1, user_api="blas")

    def score(self, samples: Floats) -> RawScores:
        """Scores of beats (n, 140), which of them are flat, and which may be clipped."""
        found = RawScores.empty(len(samples))
        memory = _Memory.of(min(len(samples), self._chunk), self._layers, self._residuals)
        with np.errstate(all="ignore"):  # a flat beat is divided by 0, and some weights give no finite score
            for start in range(0, len(samples), self._chunk):
                rows = slice(start, start + self._chunk)
                beats = samples[rows]
                memory = memory.narrowed(len(beats))
                seen = normalise(beats, self._score.pool, memory.beats, memory.pooled[1:])
                found.flat[rows] = seen.flat
                found.suspect[rows] = may_be_clipped(beats, seen.high, seen.low)
                self._errors(memory, found.score[rows])
        return found

    def explain(self, samples: Floats) -> Explanation:
        """Beats (n, 140) beside their reconstructions."""
        memory = _Memory.of(len(samples), self._plain, residuals=1)
        with np.errstate(all="ignore"):
            seen = normalise(samples, self._score.pool, memory.beats, memory.pooled[1:])
            whole = (memory.beats / (seen.high - seen.low) - seen.mean) / seen.sd
            made = self._plain(memory)[1:] - memory.residuals[0]
        return Explanation(np.ascontiguousarray(whole.T), np.ascontiguousarray(_stretched(made).T))

    def _errors(self, memory: _Memory, score: Floats) -> None:
        """Write the scores (n,) of normalised beats: steps 2 to 4 of `ScoreConfig`."""
        whole = self._layers(memory)
        if self._prototypes is not None:
            self._prototypes(whole, memory.residuals[1])
        largest = _largest(memory.residuals, self._score.window, memory.spare)
        if self._prototypes is None:
            score[:] = largest[0]
        else:
            np.sqrt(np.multiply(largest[0], largest[1]), out=score)


@dataclass(frozen=True, slots=True)
class _Memory:
    """Arrays that every chunk of a call uses again, for n beats in n columns."""

    beats: Floats  # (140, n)
    pooled: Floats  # (1 + m, n), the first row is 1
    first: Floats  # (rows of the first matrix, n)
    hidden: tuple[Floats, ...]  # of each inner layer (k, 1 + h, n)
    residuals: Floats  # (r, m, n)
    spare: tuple[Floats, Floats]  # as `residuals`
    zeros: Floats  # (n,)

    @classmethod
    def of(cls, beats: int, layers: _Layers, residuals: int) -> _Memory:
        """Memory for so many beats."""

        def empty(*shape: int) -> Floats:
            return np.empty((*shape, beats), np.float32)

        shape = (residuals, layers.inputs)
        pooled = empty(1 + layers.inputs)
        pooled[0] = 1
        return cls(
            empty(SAMPLES),
            pooled,
            empty(len(layers.first)),
            tuple(empty(*matrix.shape[:2]) for matrix in layers.inner),
            empty(*shape),
            (empty(*shape), empty(*shape)),
            np.zeros(beats, np.float32),
        )

    @property
    def rows(self) -> int:
        """Numbers for each beat."""
        arrays = (self.beats, self.pooled, self.first, *self.hidden, self.residuals, *self.spare, self.zeros)
        return sum(array.size for array in arrays) // len(self.zeros)

    def narrowed(self, beats: int) -> _Memory:
        """The first columns of it; the same where it has as many."""
        if beats == len(self.zeros):
            return self

        def part(array: Floats) -> Floats:
            return array[..., :beats]

        return _Memory(
            part(self.beats),
            part(self.pooled),
            part(self.first),
            tuple(map(part, self.hidden)),
            part(self.residuals),
            (part(self.spare[0]), part(self.spare[1])),
            part(self.zeros),
        )


class _Layers:
    """Projected beats and residuals, in fewer matrix products than the network has layers.

    The projection of the beats and the first layers of all members are one product. The last layers, their mean and
    the projection of it are all linear: their product is computed once, in float64, and is one matrix.
    """

    def __init__(self, network: Network, projection: Floats | None) -> None:
        layers = list(_augmented(network))
        self._members, self.inputs = len(layers[0]), network.config.widths[0]
        exact = np.eye(self.inputs) if projection is None else projection.T.astype(np.float64)
        block = _with_ones(np.zeros(self.inputs), exact)[: 0 if projection is None else None]
        self._projected = len(block)
        self.first = np.concatenate([block, *layers[0]]).astype(np.float32)
        self.inner = [layer.astype(np.float32) for layer in layers[1:-1]]
        ends = np.concatenate([layer[1:] for layer in layers[-1]], axis=1)
        self._last = (exact @ ends / -self._members).astype(np.float32)

    def __call__(self, memory: _Memory) -> Floats:
        """Write the projected residuals. Returns a row of ones and the projected beats (1 + m, n)."""
        np.matmul(self.first, memory.pooled, out=memory.first)
        whole = memory.first[: self._projected] if self._projected else memory.pooled
        hidden, beats = _relu(memory.first[self._projected :], memory.zeros), len(memory.zeros)
        hidden = hidden.reshape(self._members, len(hidden) // self._members, beats)
        for matrix, out in zip(self.inner, memory.hidden, strict=True):
            hidden = _relu(np.matmul(matrix, hidden, out=out), memory.zeros)
        residual = memory.residuals[0]
        np.matmul(self._last, hidden.reshape(self._last.shape[1], beats), out=residual)
        np.add(residual, whole[1:], out=residual)
        return whole


class _Prototypes:
    """Typical normal beats (k, m), and the difference of other beats from the nearest of them."""

    def __init__(self, prototypes: Floats, projection: Floats | None) -> None:
        exact = prototypes.astype(np.float64)
        beats = exact if projection is None else exact @ projection.astype(np.float64)
        halves = np.square(beats).sum(axis=1, keepdims=True) / -2
        self._nearness = np.concatenate([halves, beats], axis=1).astype(np.float32)
        self._minus = np.ascontiguousarray(-beats.T).astype(np.float32)

    def __call__(self, whole: Floats, out: Floats) -> None:
        """Write each projected beat of `whole` (1 + m, n) minus the nearest prototype (m, n).

        Where several are equally near, their mean is subtracted. |b - p|² is smallest where b·p - |p|²/2 is largest.
        """
        nearness = np.matmul(self._nearness, whole)
        nearest = np.equal(nearness, np.maximum.reduce(nearness, axis=0)).astype(np.float32)
        np.divide(nearest, np.add.reduce(nearest, axis=0), out=nearest)
        np.matmul(self._minus, nearest, out=out)
        np.add(out, whole[1:], out=out)


def _augmented(network: Network) -> list[Exact]:
    """Weights and biases of each layer (k, 1 + outputs, 1 + inputs), of k members: [1, x] → [1, Wx + b]."""
    found = []
    for layer, (inputs, outputs) in enumerate(pairwise(network.config.mirrored)):
        weight = network.weights[f"{2 * layer}.weight"].reshape(-1, outputs, inputs)
        bias = network.weights[f"{2 * layer}.bias"].reshape(-1, outputs)
        found.append(np.stack([_with_ones(*both) for both in zip(bias, weight, strict=True)]))
    return found


def _with_ones(bias: Floats | Exact, weight: Floats | Exact) -> Exact:
    """The matrix (1 + outputs, 1 + inputs) that turns [1, x] into [1, weight @ x + bias]."""
    matrix = np.zeros((1 + weight.shape[0], 1 + weight.shape[1]))
    matrix[0, 0], matrix[1:, 0], matrix[1:, 1:] = 1, bias, weight
    return matrix


def _relu(values: Floats, zeros: Floats) -> Floats:
    """In place. With a row of zeros it takes half as long as with the number 0."""
    return np.maximum(values, zeros, out=values)


def _largest(residuals: Floats, window: int, spare: tuple[Floats, Floats]) -> Floats:
    """Residuals (p, m, n) → the largest mean square over `window` rows in a row (p, n). The arrays are overwritten.

    The sums are doubled in length and extended by one row until they have that of `window`. Nothing is subtracted, so
    no sum loses precision; the product with a matrix of windows takes twice as long.
    """
    squares = np.multiply(residuals, residuals, out=residuals)
    sums, length, (out, other) = squares, 1, spare
    for digit in f"{window:b}"[1:]:
        rows = sums.shape[1] - length
        sums = np.add(sums[:, :rows], sums[:, length:], out=out[:, :rows])
        length, out, other = 2 * length, other, out
        if digit == "1":
            sums = np.add(sums[:, :-1], squares[:, length:], out=sums[:, :-1])
            length += 1
    return np.asarray(np.maximum.reduce(sums, axis=1) / np.float32(window))


def _stretched(pooled: Floats) -> Floats:
    """Columns (m, n) → (140, n): samples in between, on the line between the middles of their neighbours."""
    if len(pooled) == SAMPLES:
        return pooled
    padded = np.concatenate([pooled[:1], pooled, pooled[-1:]])
    found = np.empty((SAMPLES, pooled.shape[1]), np.float32)
    found[::2] = 0.75 * pooled + 0.25 * padded[:-2]
    found[1::2] = 0.75 * pooled + 0.25 * padded[2:]
    return found
