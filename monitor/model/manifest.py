"""What a model is: a network, the definition of its score, and the manifest that describes it.

The manifest is stored as JSON in the model file, so the names of these fields are part of the file format.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, FailFast, PlainSerializer

from monitor.beats.beat import SAMPLES
from monitor.beats.window import R_TO_R, Window
from monitor.errors import RefusedError
from monitor.model.network import Network, NetworkConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMA: Literal[1] = 1
GOLDEN_BEATS = 5
PROJECTION = "score.projection"
PROTOTYPES = "score.prototypes"
MAX_PROTOTYPES = 64
NETWORK = "network."


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """How the score of a beat is computed.

    1. Mean of `pool` adjacent samples, then each beat is normalised to mean 0 and standard deviation 1.
    2. Residual: the normalised beat minus its reconstruction, times the projection matrix where there is one.
    3. Score: mean square of the residual over every `window` samples in a row, and the largest of these.
    4. With `prototypes` (typical normal beats): the geometric mean of that score and of the same score of the
       difference between the beat and the prototype nearest to it.

    Raises RefusedError for values out of range.
    """

    pool: int = 2  # samples; 1 or 2
    window: int = 10  # pooled samples
    projected: bool = True
    normalisation: Literal["per-beat"] = "per-beat"
    prototypes: int = field(default=0, repr=False)  # how many; left out of repr, which the ids of older models hash

    def __post_init__(self) -> None:
        if not 0 <= self.prototypes <= MAX_PROTOTYPES:
            raise RefusedError(f"score.prototypes is {self.prototypes}, where 0 to {MAX_PROTOTYPES} are possible")
        if self.pool not in (1, 2):
            raise RefusedError(f"score.pool is {self.pool}, where 1 and 2 are known")
        if not 1 <= self.window <= self.inputs:
            raise RefusedError(f"score.window is {self.window}, where 1 to {self.inputs} samples are possible")

    @property
    def inputs(self) -> int:
        """Length m of a pooled beat, which is what the network takes."""
        return SAMPLES // self.pool


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """How the beats were cut that the model was trained on; the last three fields are those of `Window`.

    A file without these three is from R to R, and for R to R they are not written: older files stay as they are.
    Raises RefusedError unless the beats have SAMPLES samples and the window is possible.
    """

    samples: int
    nominal_hz: float | None  # sampling rate after resampling; None where it is unknown or differs from beat to beat
    source: str  # for people
    kind: Literal["r-to-r", "r-centred"] = "r-to-r"
    before_seconds: float = 0.0
    after_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.samples != SAMPLES:
            raise RefusedError(f"it was trained on beats of {self.samples} samples, where the stream's have {SAMPLES}")
        Window(self.kind, self.before_seconds, self.after_seconds)

    @property
    def cut(self) -> Window:
        """The window by which beats must be cut for the model."""
        return Window(self.kind, self.before_seconds, self.after_seconds)

    def stored(self) -> dict[str, int | float | str | None]:
        """The fields that a model file holds."""
        fields = asdict(self)
        return fields if self.cut != R_TO_R else {name: fields[name] for name in ("samples", "nominal_hz", "source")}


@dataclass(frozen=True, slots=True)
class ThresholdSpec:
    """The threshold and the rule that chose it. Raises RefusedError unless the threshold is positive.

    With a confidence of 0 the rule promises nothing: the rate is then the share of calibration scores above `value`.
    """

    value: float
    rule: str  # in words
    false_alarm_rate: float  # the highest share of normal beats above `value` that the rule allows
    confidence: float  # probability that the rate is kept
    normals: int  # calibration scores of normal beats
    rank: int  # `value` is the score of this rank among them, counted from the largest
    note: str = ""  # where there are too few normal beats for the rate that was asked for
    abnormals: int = 0  # labelled abnormal training beats that the rule looked at

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise RefusedError(f"threshold.value is {self.value}, where a positive number is expected")


@dataclass(frozen=True, slots=True)
class Figures:
    """The results of one detector on the test split. Abnormal is the positive class; None where undefined."""

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
    """Results on beats that were used for no choice. The first row is this model, the others are for comparison."""

    split: str
    normals: int
    abnormals: int
    rows: tuple[Figures, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """The beats that the model was trained on; `fingerprint` is a sha256 over samples and labels."""

    name: str
    fingerprint: str
    normals: int
    abnormals: int


@dataclass(frozen=True, slots=True)
class Golden:
    """Beats (5, 140), in the units they came in, with scores (5,) that every device must reproduce.

    Raises RefusedError for other shapes.
    """

    samples: tuple[tuple[float, ...], ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.samples) != GOLDEN_BEATS or len(self.scores) != GOLDEN_BEATS:
            raise RefusedError(f"golden has {len(self.samples)} beats, {len(self.scores)} scores, not {GOLDEN_BEATS}")
        if any(len(beat) != SAMPLES for beat in self.samples):
            raise RefusedError(f"a golden beat has not {SAMPLES} samples")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a model, as its file holds it. Raises RefusedError where two fields contradict each other."""

    schema: Literal[1]
    digest: str  # of the file's bytes, see `sealed_file`; set when the file is written
    model_id: str  # `Detector.identity`
    network: NetworkConfig
    score: ScoreConfig
    window: Annotated[WindowSpec, PlainSerializer(WindowSpec.stored)]
    threshold: ThresholdSpec
    evaluation: Evaluation | None
    data: Origin
    training: dict[str, int | float | str]  # for people: the options of the trainer
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
    """Everything that a score depends on: the network, the definition of the score, and the arrays that it needs."""

    network: Network  # normalised beats (n, m) → their reconstructions (n, m)
    score: ScoreConfig
    projection: NDArray[np.float32] | None = None  # (m, m)
    prototypes: NDArray[np.float32] | None = None  # (k, m), normalised beats

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Every array that a score depends on, by its name in a model file."""
        named = {NETWORK + name: array for name, array in self.network.weights.items()}
        named |= {} if self.projection is None else {PROJECTION: self.projection}
        return named | ({} if self.prototypes is None else {PROTOTYPES: self.prototypes})

    def identity(self) -> str:
        """The model id: 16 hex digits of a sha256 over everything that a score depends on."""
        digest = hashlib.sha256(f"{self.network.config!r} {self.score!r} {SAMPLES}".encode())
        for name, array in sorted(self.tensors().items()):
            digest.update(f"{name} {array.shape} ".encode() + array.astype("<f4").tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Detector):
    """A detector with its manifest."""

    manifest: Manifest
