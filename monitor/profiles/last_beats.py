"""When each source was heard last, by rows of the profiles: what the alarm `no-signal` is decided by.

A source that has a row is found for each beat anyway. To keep these numbers for it costs some nanoseconds a beat, where
a table by name would cost as much as all other rules of the alarms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.records.stream_time import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.records.stream_time import StreamTime

NOT_WATCHED = 2**62  # in place of a stream time: the source is not missed until it is heard again


class LastBeats:
    """The last beat of the source of each row."""

    def __init__(self) -> None:
        self.stream_time = np.empty(0, np.int64)  # of the partition at it, ms; or NOT_WATCHED
        self.offset = np.empty(0, np.int64)  # -1: not known
        self.time = np.empty(0, np.int64)  # of its record, ms; -1: not known

    def grow(self, more: int) -> None:
        """Add so many rows."""
        self.stream_time = np.append(self.stream_time, np.full(more, NOT_WATCHED))
        self.offset = np.append(self.offset, np.full(more, -1))
        self.time = np.append(self.time, np.full(more, NO_TIME))

    def begin(self, rows: NDArray[np.int64]) -> None:
        """Rows (k,) get other sources."""
        self.stream_time[rows], self.offset[rows], self.time[rows] = NOT_WATCHED, -1, NO_TIME

    def hand_over(self, old: NDArray[np.int64], new: NDArray[np.int64]) -> None:
        """Sources get other rows: new (k,) for old (k,)."""
        for column in (self.stream_time, self.offset, self.time):
            column[new] = column[old]

    def note(self, rows: NDArray[np.int64], offset: NDArray[np.int64], time: NDArray[np.int64]) -> None:
        """These are beats (n,), in the order of their offsets, of sources whose stream time is set apart from that."""
        self.offset[rows], self.time[rows] = offset, time

    def restore(
        self, rows: NDArray[np.int64], offset: NDArray[np.int64], time: NDArray[np.int64], now: StreamTime | None
    ) -> None:
        """These beats (n,) were judged before a member began to read. `now`: the stream time then.

        That at the beats is not known, so the sources count as heard at `now`. Of a beat that is known already, only
        the time is new.
        """
        known = self.offset[rows]
        is_newer, is_same = offset > known, offset == known
        self.time[rows[is_same]] = time[is_same]
        self.note(rows[is_newer], offset[is_newer], time[is_newer])
        self.stream_time[rows[is_newer]] = NOT_WATCHED if now is None else now.now

    def restore_one(self, row: int, offset: int, stream_time: int) -> None:
        """The last beat of a source was judged before, at this stream time."""
        if offset != self.offset[row]:
            self.offset[row], self.time[row] = offset, NO_TIME
        self.stream_time[row] = stream_time
