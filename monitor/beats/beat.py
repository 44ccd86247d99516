"""What a beat is: 140 samples of one lead, as a record value and as columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = 140
FLOAT32_BYTES = 4 * SAMPLES
MAX_VALUE_BYTES = 64 * 1024  # of a record value; a beat as JSON takes some 2 KiB
MAX_AMPLITUDE = 1e9  # in any unit: squares of larger samples overflow float32, and no amplifier gives them
MIN_AMPLITUDE = 1e-6  # in any unit: a beat with no larger sample has less than 1 µV, even where the unit is the volt
MAX_KEY_BYTES = 256  # of UTF-8: the key goes into alerts, scores and state rows, which must never become too large


@dataclass(frozen=True, slots=True)
class Beats:
    """n beats as columns."""

    samples: NDArray[np.float32]  # (n, 140), any amplitude unit
    source: NDArray[np.object_]  # (n,), the record key as bytes, valid UTF-8
    time: NDArray[np.int64]  # (n,), ms since the epoch
    partition: NDArray[np.int32]  # (n,), with the offset: where the record stands
    offset: NDArray[np.int64]  # (n,)
    noise: NDArray[np.float32]  # (n,), of the lead before the beat, log; NaN where it is not known or was not asked for

    def __len__(self) -> int:
        return len(self.offset)

    def select(self, keep: NDArray[np.bool_]) -> Beats:
        """The beats where `keep` (n,) is true."""
        return Beats(
            self.samples[keep],
            self.source[keep],
            self.time[keep],
            self.partition[keep],
            self.offset[keep],
            self.noise[keep],
        )


def name_fault(source: bytes) -> str:
    """What is wrong with the name of a source, as the key of its row; empty where nothing is."""
    if not 0 < len(source) <= MAX_KEY_BYTES:
        return f"a row has a key of 1 to {MAX_KEY_BYTES} bytes"
    try:
        source.decode()
    except UnicodeDecodeError:
        return "its key is not UTF-8"
    return ""


def encode(samples: NDArray[np.float32], form: Literal["float32", "json"]) -> bytes:
    """One beat (140,) as a record value, in one of the two forms of `docs/messages.md`."""
    if form == "float32":
        return samples.astype("<f4").tobytes()
    return json.dumps({"samples": [float(f"{sample:.8g}") for sample in samples.tolist()]}).encode()
