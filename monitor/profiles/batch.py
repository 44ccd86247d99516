"""Beats that are held against profiles, and what comes out, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NoticeKind = Literal["learned", "sick-while-learning", "not-learned", "changed-conduction"]
NOTICE_KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)


@dataclass(frozen=True, slots=True)
class SourceBeats:
    """n beats of any sources, those of one source in the order in which they were recorded."""

    row: NDArray[np.int64]  # (n,), the source's row in `Profiles`
    samples: NDArray[np.float32]  # (n, 140), finite, cut by `R_CENTRED`, amplitude kept, any unit
    time_ms: NDArray[np.int64]  # (n,), of the R peak, since the epoch; NEVER where it is not known
    rr_seconds: NDArray[np.float32]  # (n,), since the R peak before; NaN where it is not known
    noise: NDArray[np.float32]  # (n,), log of the rms of the signal between beats; NaN where it is not known


@dataclass(frozen=True, slots=True)
class Scored:
    """What profiles say about n beats. All values but the prematurity are NaN while a source is still learning."""

    score: NDArray[np.float32]  # (n,), for the rule; higher is less like this source. -2.95 to 6.6
    qrs_distance: NDArray[np.float32]  # (n,), LQ: log of the largest mean of squares in the ventricular complex
    distance: NDArray[np.float32]  # (n,), L: the same over the whole beat
    prematurity: NDArray[np.float32]  # (n,), -3 to 6 spreads of the source's RR; 0 where it is not known
    noise: NDArray[np.float32]  # (n,), above the noise while it learned, in log units
    template: NDArray[np.int8]  # (n,), the nearest one, 0 to 3; -1 while learning
    notices: tuple[Notice, ...]  # in the order of their beats

    @classmethod
    def empty(cls, count: int) -> Scored:
        """Of beats that are not scored yet."""
        score, qrs, whole, prematurity, noise = (np.full(count, np.nan, np.float32) for _ in range(5))
        return cls(score, qrs, whole, prematurity, noise, np.full(count, -1, np.int8), ())

    def with_notices(self, notices: Sequence[Notice]) -> Scored:
        """The same with these notices."""
        return replace(self, notices=tuple(notices))


class Notice(NamedTuple):
    """Something that happened to a profile at a beat.

    `learned`: the source has a profile from the next beat on. `sick-while-learning`: the same, but many beats in the
    learning time were premature and alike, or few fit the profile. `not-learned`: no kind of beat was frequent enough;
    learning begins again. `changed-conduction`: the source got a further template.
    """

    kind: NoticeKind
    row: int  # of the source
    beat: int  # index in the batch
