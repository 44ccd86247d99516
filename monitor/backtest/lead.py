"""One lead through segmenter and profile, piece by piece: memory does not grow with the recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.window import R_CENTRED
from monitor.profiles import Profiles, SourceBeats
from monitor.recordings.player import segmenter_of, segments_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitor.profiles import ProfileSummary
    from monitor.recordings import Recording, Segments


@dataclass(frozen=True, slots=True)
class LeadScores:
    """n beats of a lead in the order of their times."""

    seconds: NDArray[np.float64]  # (n,), of the R peak, since the first sample
    scores: NDArray[np.float32]  # (n,), personal; NaN while the source learns
    rr_seconds: NDArray[np.float32]  # (n,), NaN where it is not known

    def __len__(self) -> int:
        return len(self.seconds)


class LeadPlayer:
    """The beats of one lead, each compared with what the lead was like before."""

    def __init__(self, recording: Recording, learning_seconds: float, *, noise: bool) -> None:
        """`noise`: whether the noise before beats counts. Raises RecordingError for a rate that cannot be cut."""
        self._recording = recording
        self._segmenter = segmenter_of(recording, R_CENTRED)
        self._noise = noise
        self._profiles = Profiles(learning_seconds)
        self._row = self._profiles.add()
        self._learned: float | None = None

    @property
    def learned_at(self) -> float | None:
        """The second of the beat at which the profile was learned; None while it is not."""
        return self._learned

    def profile(self) -> ProfileSummary:
        """The profile as it is now."""
        return self._profiles.summary(int(self._row[0]))

    def beats(self) -> Iterator[LeadScores]:
        """All beats, those of at most a minute at a time. Raises RecordingError where the file is damaged."""
        return map(self._judged, segments_of(self._recording, self._segmenter))

    def _judged(self, found: Segments) -> LeadScores:
        row = np.repeat(self._row, len(found))
        time_ms = np.rint(1000 * found.time).astype(np.int64)
        rr = self._profiles.intervals(row, time_ms)
        noise = found.noise if self._noise else np.full(len(found), np.nan, np.float32)
        scored = self._profiles.observe(SourceBeats(row, found.samples, time_ms, rr, noise))
        learned = [one.beat for one in scored.notices if one.kind in ("learned", "sick-while-learning")]
        if learned:
            self._learned = float(found.time[learned[0]])
        return LeadScores(found.time, scored.score, rr)
