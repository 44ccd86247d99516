"""The profiles of many sources: learned, compared with beats, adapted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.beats.window import R_CENTRED
from monitor.profiles.batch import Notice, Scored
from monitor.profiles.columns import CARRY, CARRY_BYTES, FREE, KNOWN, LEARNING, NEVER, NONE, SICK, Tables, as_bytes
from monitor.profiles.observing import change, observe_round
from monitor.profiles.points import MARGIN, SECONDS
from monitor.profiles.rhythm import LONGEST_RR, SHORTEST_RR
from monitor.profiles.rounds import by_source, rounds
from monitor.profiles.stored import encode, restore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.profiles.batch import SourceBeats
    from monitor.profiles.stored import RestoredProfiles

LEAST_SECONDS, MOST_SECONDS = 120.0, 86_400.0  # of learning


def as_intervals(elapsed: NDArray[np.float64]) -> NDArray[np.float32]:
    """RR in seconds (n,) of the seconds since the beat before; NaN where they are none, such as a gap."""
    is_rr = (elapsed >= SHORTEST_RR) & (elapsed <= LONGEST_RR)
    return np.where(is_rr, elapsed, np.nan).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ProfileSummary:
    """What a person sees of a profile."""

    is_learned: bool
    is_sick: bool  # see `Notice`
    beats: int  # so far
    learned_seconds: float  # with beats, while it learned
    kept: float  # share of the beats while it learned that fit a template; NaN before
    typical: NDArray[np.float32]  # (m, 60), each template, unit of the beats; m is 0 while it learns
    spread: NDArray[np.float32]  # (m, 60), the same unit
    offset: int  # of the record of its last beat; -1 where it is not known
    reset: int  # offset of the control record that made it learn again; -1 where nobody did
    last_ms: int  # time of its last beat, since the epoch; NEVER where it has none


class Profiles:
    """The profiles of many sources, a row each.

    A learning source takes 15.3 KB (1.5 GB for 100,000 at once), a learned one 1.1 KB, and 0.7 KB for each further
    template.
    """

    def __init__(self, seconds: float = 300.0) -> None:
        """`seconds`: how long a source learns. Raises ValueError for less than 120 s and more than a day."""
        if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
            raise ValueError(f"{seconds:g} s of learning, where {LEAST_SECONDS:g} to {MOST_SECONDS:g} are possible")
        self._learning_ms = round(1000 * seconds)
        self._tables = Tables()

    def __len__(self) -> int:
        """Sources."""
        return len(self._tables.sources)

    def add(self, count: int = 1) -> NDArray[np.int64]:
        """Rows (count,) for new sources, which begin to learn with their next beat."""
        taken = self._tables.sources.take(count)
        sources = self._tables.sources.rows
        sources["phase"][taken], sources["row"][taken] = LEARNING, taken
        sources["learning"][taken] = self._tables.learners.take(count)
        return taken

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Forget sources (k,); their rows may be given to others."""
        gone = self._tables.sources.rows[rows]
        self._tables.templates.give_back(gone["templates"].ravel())
        self._tables.learners.give_back(gone["learning"])
        self._tables.candidates.give_back(gone["candidate"])
        self._tables.sources.rows["phase"][rows] = FREE
        self._tables.sources.give_back(rows)

    def intervals(self, row: NDArray[np.int64], time_ms: NDArray[np.int64]) -> NDArray[np.float32]:
        """RR in seconds (n,) of beats at these times, which have not been observed yet; NaN where it is not known.

        The rows of one source stand in the order of its beats. A gap of more than 5 s is not an RR.
        """
        seconds = np.empty(len(row), np.float64)
        order = by_source(row)
        seconds[order] = self.elapsed(row[order], time_ms[order])
        return as_intervals(seconds)

    def elapsed(self, rows: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Seconds (n,) since the beat of the source before, as `intervals`; NaN where one of the two has no time.

        The beats stand by source: the rows ascend.
        """
        before = np.empty_like(times)
        before[1:] = times[:-1]
        is_first = np.diff(rows, prepend=-1) != 0
        before[is_first] = self._tables.sources.rows["last_ms"][rows[is_first]]
        since: NDArray[np.float64] = (times.astype(np.float64) - before) / 1000
        since[(times == NEVER) | (before == NEVER)] = np.nan
        return since

    @property
    def sources(self) -> NDArray[np.void]:
        """The records of all rows, to read and to change; others after the next `add` or `restore`: do not keep it."""
        return self._tables.sources.rows

    @property
    def learning(self) -> int:
        """Sources that learn."""
        return len(self._tables.learners)

    def carry(self, rows: NDArray[np.int64]) -> NDArray[np.void]:
        """What the rules remember of sources (k,): records of `columns.CARRY`."""
        return as_bytes(self._tables.sources.rows)[rows, CARRY_BYTES].view(CARRY).ravel()

    def set_carry(self, rows: NDArray[np.int64], carry: NDArray[np.void]) -> None:
        """Keep what the rules remember of sources (k,), all different."""
        as_bytes(self._tables.sources.rows)[rows, CARRY_BYTES] = as_bytes(carry)

    def observe(self, beats: SourceBeats, order: NDArray[np.int64] | None = None) -> Scored:
        """Compare beats with the profiles of their sources, and let the profiles learn from them.

        `order` (k,): the beats that are observed, in the order of `by_source`; None: all of them.
        """
        order = by_source(beats.row) if order is None else order
        scored = Scored.empty(len(beats.row))
        notices: list[Notice] = []
        for one in rounds(order, beats.row, self._tables.sources.rows["since"]):
            observe_round(self._tables, one, beats, scored)
            notices += change(self._tables, one, self._learning_ms)
        notices.sort(key=lambda notice: notice.beat)
        return scored.with_notices(notices)

    def summary(self, row: int) -> ProfileSummary:
        """What a person sees of the profile of a source."""
        source = self._tables.sources.rows[row]
        templates = self._tables.templates.rows[source["templates"][source["templates"] != NONE]]
        return ProfileSummary(
            is_learned=bool(source["phase"] == KNOWN),
            is_sick=bool(source["flags"] & SICK),
            beats=int(source["beats"]),
            learned_seconds=float(source["heard_ms"]) / 1000,
            kept=float(source["kept"]),
            typical=templates["typical"],
            spread=templates["spread"] * templates["scale"][:, None],
            offset=int(source["offset"]),
            reset=int(source["reset"]),
            last_ms=int(source["last_ms"]),
        )

    def typical(self, rows: NDArray[np.int64], template: NDArray[np.int8]) -> NDArray[np.float32]:
        """A template of each source (k,), by its number, at the samples of the window (k, 140).

        Without mean and slope, unit of the beats; NaN in the margin, where a profile has no points.
        """
        places = self._tables.sources.rows["templates"][rows, template]
        inside = slice(MARGIN, SAMPLES - MARGIN)
        drawn = np.full((len(rows), SAMPLES), np.nan, np.float32)
        seconds = R_CENTRED.seconds_from_r[inside]
        for beat, typical in zip(drawn, self._tables.templates.rows["typical"][places], strict=True):
            beat[inside] = np.interp(seconds, SECONDS, typical)
        return drawn

    def encode(self, rows: NDArray[np.int64]) -> list[bytes]:
        """The states of sources (k,), to be stored: at most MAX_PROFILE_BYTES each."""
        return encode(self._tables, rows)

    def restore(self, states: Sequence[bytes]) -> RestoredProfiles:
        """Rows for sources with these stored states. What is none is refused with a sentence."""
        return restore(self._tables, states)
