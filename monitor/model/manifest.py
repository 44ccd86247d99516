"""What a model is: a network, the definition of its score, and everything it says about itself."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, FailFast

from monitor.beats.beat import SAMPLES
from monitor.errors import RefusedError
from monitor.model.network import NetworkConfig, weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

SCHEMA: Literal[1] = 1
GOLDEN_BEATS = 5
PROJECTION = "score.projection"
PROTOTYPES = "score.prototypes"
MAX_PROTOTYPES = 64
NETWORK = "network."


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """How a beat becomes a number.

    Mean of `pool` adjacent samples, then each beat to mean 0 and sd 1; residual of the network, times the projection
    matrix when there is one; mean square over every `window` samples in a row; the largest of them. With `prototypes`,
    typical normal beats, the geometric mean of this and of the same for the difference from the nearest of them.
    """

    pool: int = 2
    window: int = 10
    projected: bool = True
    normalisation: Literal["per-beat"] = "per-beat"
    prototypes: int = field(default=0, repr=False)  # their shape says it; so a model of before keeps its id

    def __post_init__(self) -> None:
        if not 0 <= self.prototypes <= MAX_PROTOTYPES:
            raise RefusedError(f"score.prototypes is {self.prototypes}, where 0 to {MAX_PROTOTYPES} are possible")
        if self.pool not in (1, 2):
            raise RefusedError(f"score.pool is {self.pool}, where 1 and 2 are known")
        if not 1 <= self.window <= self.inputs:
            raise RefusedError(f"score.window is {self.window}, where 1 to {self.inputs} samples are possible")

    @property
    def inputs(self) -> int:
        """Samples that the network sees."""
        return SAMPLES // self.pool


@dataclass(frozen=True, slots=True)
class Window:
    """What one beat is: so many samples, cut out and resampled how."""

    samples: int
    nominal_hz: float | None
    source: str

    def __post_init__(self) -> None:
        if self.samples != SAMPLES:
            raise RefusedError(f"it was trained on beats of {self.samples} samples, where the stream's have {SAMPLES}")


@dataclass(frozen=True, slots=True)
class ThresholdSpec:
    """The threshold and the rule that chose it; a budget that the normals cannot support says so in `note`.

    A confidence of 0 is a rule that promises nothing: its rate is the share of the calibration scores above.
    """

    value: float
    rule: str
    false_alarm_rate: float
    confidence: float
    normals: int
    rank: int
    note: str = ""
    abnormals: int = 0  # labelled abnormal training beats that the rule looked at

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise RefusedError(f"threshold.value is {self.value}, where a positive number is expected")


@dataclass(frozen=True, slots=True)
class Figures:
    """What one detector reached on the test split; abnormal is the positive class. None where it is undefined."""

    detector: str
    auc: float
    average_precision: float
    tpr_at_1_percent_fpr: float
    tpr_at_5_percent_fpr: float
    accuracy: float
    precision: float | None
    recall: float
    false_positive_rate: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures on beats that nothing was chosen by; the first row is this model, the others stand beside it."""

    split: str
    normals: int
    abnormals: int
    rows: tuple[Figures, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """The beats that the model was made from; the fingerprint is a sha256 over samples and labels."""

    name: str
    fingerprint: str
    normals: int
    abnormals: int


@dataclass(frozen=True, slots=True)
class Golden:
    """Beats with the scores that every device must give again: (5, 140) in the units they came in, and (5,)."""

    samples: tuple[tuple[float, ...], ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.samples) != GOLDEN_BEATS or len(self.scores) != GOLDEN_BEATS:
            raise RefusedError(f"golden has {len(self.samples)} beats, {len(self.scores)} scores, not {GOLDEN_BEATS}")
        if any(len(beat) != SAMPLES for beat in self.samples):
            raise RefusedError(f"a golden beat has not {SAMPLES} samples")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that a model says about itself. `digest` is set when it is written to a file."""

    schema: Literal[1]
    digest: str
    model_id: str
    network: NetworkConfig
    score: ScoreConfig
    window: Window
    threshold: ThresholdSpec
    evaluation: Evaluation | None
    data: Origin
    training: dict[str, int | float | str]  # for people: whatever the trainer was told
    versions: dict[str, str]
    golden: Golden
    calibration: Annotated[tuple[float, ...], FailFast()]  # scores of normal beats, ascending

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    def __post_init__(self) -> None:
        if self.network.widths[0] != self.score.inputs:
            raise RefusedError(
                f"the network takes {self.network.widths[0]} samples, score.pool gives {self.score.inputs}"
            )
        if not self.calibration or not all(math.isfinite(score) and score >= 0 for score in self.calibration):
            raise RefusedError("calibration must be finite scores of at least one normal beat")
        if any(left > right for left, right in pairwise(self.calibration)):
            raise RefusedError("calibration scores must be in ascending order")


@dataclass(frozen=True, slots=True)
class Detector:
    """What gives scores: a network (n, m) → (n, m), the definition of the score, and what that asks for.

    A projection (m, m) and prototypes (k, m): normalised beats.
    """

    network: nn.Module
    score: ScoreConfig
    projection: NDArray[np.float32] | None = None
    prototypes: NDArray[np.float32] | None = None

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Every array that bears on a score, by the name it has in a model file."""
        named = {NETWORK + name: array for name, array in weights(self.network).items()}
        named |= {} if self.projection is None else {PROJECTION: self.projection}
        return named | ({} if self.prototypes is None else {PROTOTYPES: self.prototypes})

    def identity(self, config: NetworkConfig) -> str:
        """16 hex digits over everything that bears on a score."""
        digest = hashlib.sha256(f"{config!r} {self.score!r} {SAMPLES}".encode())
        for name, array in sorted(self.tensors().items()):
            digest.update(f"{name} {array.shape} ".encode() + array.astype("<f4").tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Detector):
    """A detector that can say what it is."""

    manifest: Manifest
