"""The work that every contender does: values to samples to scores to abnormal beats, with torch."""

from __future__ import annotations

import gc
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from monitor.beats.beat import SAMPLES
from monitor.model import artifact
from monitor.model.tensors.arithmetic import TensorArithmetic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bench.case import Case, Meter

BATCH = 4096
_FLOATS = struct.Struct(f"{SAMPLES}f")


class Judge:
    """A contender's scoring. The constructor warms it up."""

    def __init__(self, case: Case, meter: Meter) -> None:
        model = artifact.load(Path(case.model), "cpu")
        self._scorer = TensorArithmetic(model, "cpu")
        self._scorer.use_one_thread()
        self._threshold = model.manifest.threshold.value
        self._model_id = model.manifest.model_id
        self._meter = meter
        self._parse = floats if case.form == "float32" else json_floats
        self._scorer.score(np.random.default_rng(0).standard_normal((BATCH, SAMPLES)).astype(np.float32))
        tune_collector()

    def abnormal(self, values: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """The abnormal rows, each with its alert. Call `done` after the alerts are sent."""
        scores = self._scorer.score(self._parse(values)).score
        rows = np.flatnonzero(scores > self._threshold)
        self._seen = len(values), len(rows)
        return zip(rows.tolist(), map(self._alert, scores[rows].tolist()), strict=True)

    def done(self) -> None:
        self._meter.note(*self._seen)

    def _alert(self, score: float) -> bytes:
        return orjson.dumps({"score": score, "threshold": self._threshold, "model_id": self._model_id})


def floats(values: Sequence[bytes]) -> NDArray[np.float32]:
    return np.frombuffer(b"".join(values), "<f4").reshape(-1, SAMPLES)


def json_floats(values: Sequence[bytes]) -> NDArray[np.float32]:
    """The fastest way with orjson: it converts no list of Python floats to an array."""
    samples = np.empty((len(values), SAMPLES), np.float32)
    buffer = memoryview(samples).cast("B")
    for row, value in enumerate(values):
        _FLOATS.pack_into(buffer, row * _FLOATS.size, *orjson.loads(value)["samples"])
    return samples


def tune_collector() -> None:
    """What a careful author does. The other systems gain from it as this monitor does, bytewax twice as much."""
    gc.freeze()
    gc.set_threshold(100_000)
