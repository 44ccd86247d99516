"""The public Python API: load a model file and score beats, without Kafka. `import monitor` exports these names.

Scores and p-values are the ones that `ecg-monitor run` writes for the same beats.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.alarms.threshold import Thresholds
from monitor.beats.beat import MAX_AMPLITUDE, SAMPLES
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from monitor.beats.window import Window
    from monitor.model.manifest import Model
    from monitor.model.scorer import Scorer

BATCH_BEATS = 16384  # as MONITOR_BATCH_SIZE is by default
NUMERIC_KINDS = "fiu"  # of a NumPy dtype: float, int, unsigned int
_EXPECTED = f"(n, {SAMPLES}) is expected, a row of {SAMPLES} samples for each beat"


@dataclass(frozen=True, slots=True, eq=False)
class ScoreResult:
    """What the model says about n beats, in their order: four columns of length n.

    `score` is the reconstruction error; NaN where the beat cannot be scored. `p_value` is the share of the model's
    normal beats that score at least as high; NaN without a score. `abnormal` is true where the score lies above the
    threshold; false without a score. `cause` says why a beat has no score: "flat-line", "saturated" or
    "score-not-finite"; it is empty where there is one.
    """

    score: NDArray[np.float32]
    p_value: NDArray[np.float64]
    abnormal: NDArray[np.bool_]
    cause: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.score)


class ScoringModel:
    """A model that is ready to score beats. `load_model` makes one."""

    __slots__ = ("_manifest", "_scorer")

    def __init__(self, model: Model, scorer: Scorer) -> None:
        self._manifest = model.manifest
        self._scorer = scorer

    def __repr__(self) -> str:
        return f"<ScoringModel {self.model_id} on {self.device}, threshold {self.threshold:g}>"

    @property
    def model_id(self) -> str:
        """16 hexadecimal digits that name the weights and the definition of the score."""
        return self._manifest.model_id

    @property
    def device(self) -> str:
        """Where beats are scored, for example "cpu" or "cuda"."""
        return self._scorer.device

    @property
    def threshold(self) -> float:
        """The model's own threshold: a score above it is abnormal."""
        return self._manifest.threshold.value

    @property
    def samples(self) -> int:
        """Samples of a beat: 140."""
        return self._manifest.window.samples

    @property
    def window(self) -> Window:
        """How the beats that the model was trained on were cut from the signal. Yours must be cut the same way."""
        return self._manifest.window.cut

    @property
    def trained_on(self) -> str:
        """What the beats are that the model was trained on, in words."""
        return self._manifest.window.source

    @property
    def nominal_hz(self) -> float | None:
        """Samples per second of the beats that the model was trained on; None where that is unknown or varies."""
        return self._manifest.window.nominal_hz

    def score(self, beats: ArrayLike, threshold: float | None = None) -> ScoreResult:
        """Score beats (n, 140) in any amplitude unit; n may be 0. `threshold` replaces the model's own.

        `beats` is an array of numbers or anything that NumPy turns into one. Raises ValueError, with a sentence that
        says what is wrong, for another shape, for values that are not numbers, for NaN and infinity, for amplitudes
        beyond ±1e9, and for a threshold that is not a positive number.
        """
        samples = _samples(beats)
        thresholds = Thresholds.from_manifest(self._manifest, None if threshold is None else _threshold(threshold))
        scores = self._scorer.score(samples)
        verdicts = thresholds.judge(np.full(len(samples), b"", np.object_), scores.score)
        return ScoreResult(scores.score, verdicts.p_value, verdicts.abnormal, _cause_names()[scores.cause])


def load_model(path: str | os.PathLike[str], device: str = "cpu") -> ScoringModel:
    """Load the model file that `ecg-trainer ecg` wrote, and check it on the device that will score.

    `device` is "cpu", "cuda", "cuda:N", or "auto" for a GPU where there is one. Raises ValueError, with a sentence
    that says what is wrong and what to do, for a file that is missing or is not a whole model, for a device that is
    not there, and where torch is needed and not installed: for a GPU, and for convolutional networks.
    """
    from monitor.model import artifact  # noqa: PLC0415 - brings pydantic, and torch for a GPU
    from monitor.model.scorer import Scorer  # noqa: PLC0415

    try:
        model = artifact.load(_path(path), _device(device))
        return ScoringModel(model, Scorer(model, device, BATCH_BEATS))
    except MonitorError as error:
        raise ValueError(str(error)) from None


def _cause_names() -> NDArray[np.str_]:
    """The word for each cause code of the scorer; code 0 is a beat with a score."""
    from monitor.model.scorer import CAUSES  # noqa: PLC0415 - `load_model` has loaded it by now

    return np.array(["", *CAUSES])


def _path(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path is {path!r}, where the path of a model file is expected")  # noqa: TRY004 - as promised
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:
        name = b"\0"
    if b"\0" in name:
        raise ValueError(f"path is {path!r}, which no file can be named")
    return Path(path)


def _device(device: object) -> str:
    if not isinstance(device, str):
        raise ValueError(f"device is {device!r}, where cpu, cuda, cuda:N or auto is expected")  # noqa: TRY004
    return device


def _threshold(threshold: object) -> float:
    if isinstance(threshold, int | float | np.integer | np.floating) and not isinstance(threshold, bool):
        with contextlib.suppress(OverflowError):  # an int beyond any float
            number = float(threshold)
            if 0 < number < math.inf:
                return number
    raise ValueError(f"threshold is {threshold!r}, where a number above 0 is expected")


def _samples(beats: ArrayLike) -> NDArray[np.float32]:
    """The beats as native float32 (n, 140). Raises ValueError as `ScoringModel.score` says."""
    array = _array(beats)
    if array.dtype.kind not in NUMERIC_KINDS:
        raise ValueError(f"beats hold {array.dtype} values, where numbers are expected: floats or integers")
    if array.ndim != len(("beat", "sample")) or array.shape[1] != SAMPLES:
        raise ValueError(f"beats have shape {array.shape}, where {_EXPECTED}{_hint(array.shape)}")
    with np.errstate(all="ignore"):  # what becomes infinite is refused here
        samples = array.astype(np.float32, copy=False)
    if not (samples.max(initial=0) <= MAX_AMPLITUDE and samples.min(initial=0) >= -MAX_AMPLITUDE):
        row, column = np.argwhere(~(np.abs(samples) <= MAX_AMPLITUDE))[0]
        raise ValueError(
            f"beats[{row}, {column}] is {array[row, column]:g}, where a number within ±{MAX_AMPLITUDE:g} is "
            "expected: leave such beats out"
        )
    return samples


def _hint(shape: tuple[int, ...]) -> str:
    if shape == (SAMPLES,):
        return f"; for a single beat, pass beats.reshape(1, {SAMPLES})"
    if shape[1:] == (SAMPLES + 1,):
        return "; if one column holds labels, leave it out"
    return ""


def _array(beats: Any) -> NDArray[Any]:
    if np.ma.is_masked(beats):
        raise ValueError("beats hold masked values, where every sample must be a number: leave such beats out")
    try:
        return np.asarray(beats)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:  # of NumPy, or of what makes the array
        raise ValueError(f"beats cannot be made an array ({error}), where {_EXPECTED}") from None
