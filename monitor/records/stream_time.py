"""The stream time of a partition: how far time has moved in its records, as far as their times can be believed.

The monitor measures silence in stream time, so only its movement matters. The *position* is the time that the records
have reached. These rules keep a publisher with a wrong clock from moving stream time far:

- A record moves stream time by at most `step_ms`. If its time is further ahead, the position follows it, and the rest
  of the way is skipped: a jump is not silence.
- A source moves it at most `lead_ms` past the highest time of any other source.
- A record more than `lead_ms` away from the position is a *stray*, and moves nothing. Strays show that the whole stream
  has jumped if they come in a row, all on one side, from alternating sources, STRAYS of them: then the position follows
  the last one, and the jump is skipped.
- A record without a time (-1), or with one after the year 9999, moves nothing.

A clock is surely *wrong* where a record is too far ahead and the one before it, of those with a time, is no stray: then
the stream as a whole has not jumped. So is one after the year 9999.

The rules look at the records and their order alone. So stream time is the same after a replay, for another member, and
however the records are cut into batches. Times are in ms since the epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_TIME = -1  # Kafka's timestamp of a record that has none
MAX_TIME_MS = 253_402_300_799_999  # the last that RFC 3339 can write
STRAYS = 64
STEPS, LEADS = 30, 2  # a silence takes at least 30 records; a source is ahead of the others by two silences at most
ROWS = 1024  # records that are looked at together
PART_ROWS = 128  # or so many, where a few sources take long to send as many: each time half of them, down to this
FEW_ROWS = 8  # fewer are looked at one by one
END = 2**63 - 1  # later than any time


class Pace(NamedTuple):
    """How far one record, and one source, may move the stream time, in ms."""

    step_ms: int
    lead_ms: int

    @classmethod
    def of_silence(cls, silence_ms: int) -> Pace:
        """The pace at which neither one record nor one jump makes up a silence, which lasts `silence_ms`."""
        return cls(max(1, silence_ms // STEPS), LEADS * silence_ms)


class StreamTime(NamedTuple):
    """The stream time after a record, and what the rules need to know of the records before."""

    now: int  # the stream time
    skipped: int = 0  # the position, in the records' own time, is `now + skipped`
    lead: int = NO_TIME  # highest time of the source that is ahead of all others; NO_TIME: no record had a time
    second: int = NO_TIME  # highest time of all other sources
    leader: int = 0  # CRC-32 of the source that is ahead
    strays: int = 0  # in a row, counted at each change of their source; negative: behind the position
    stray: int = 0  # CRC-32 of the source of the last stray

    @classmethod
    def at(cls, time: int, source: bytes = b"") -> StreamTime:
        """The stream time after the first record of a partition; 0 if that has no time."""
        return cls(0) if not is_time(time) else cls(time, 0, time, time, crc32(source))

    def text(self) -> str:
        """Its numbers in one line, with `,` between them: the form that is committed with an offset."""
        return ",".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> StreamTime | None:
        """The stream time that `text` wrote; an older version wrote `now` alone. None for any other text."""
        parts = text[:200].split(",")
        if not all(part.removeprefix("-").isdecimal() for part in parts) or len(parts) not in {1, len(cls._fields)}:
            return None
        numbers = tuple(map(int, parts))
        if max(map(abs, numbers)) >= 2**63:
            return None
        return cls.at(numbers[0]) if len(parts) == 1 else cls(*numbers)


class Advance(NamedTuple):
    """The effect of n records."""

    after: StreamTime
    column: NDArray[np.int64]  # (n,), the stream time at each
    far_ahead: int  # records that were too far ahead to be believed
    wrong: NDArray[np.bool_]  # (n,), those of them whose clock is surely wrong


def advance(before: StreamTime | None, pace: Pace, source: NDArray[np.object_], time: NDArray[np.int64]) -> Advance:
    """The stream time at each of n > 0 records of one partition, with their sources (n,) and times (n,).

    `before` is the stream time after the record before them; None if it is not known.
    """
    after, far_ahead = before or StreamTime.at(int(time[0]), source[0]), 0
    column, wrong = np.empty(len(time), np.int64), np.empty(len(time), np.bool_)
    for first in range(0, len(time), ROWS):
        rows = slice(first, first + ROWS)
        some = _some(after, pace, source[rows], time[rows])
        after, column[rows], wrong[rows], far_ahead = some.after, some.column, some.wrong, far_ahead + some.far_ahead
    return Advance(after, column, far_ahead, wrong)


def _some(before: StreamTime, pace: Pace, source: NDArray[np.object_], time: NDArray[np.int64]) -> Advance:
    """The same as `_one_by_one`, in the quickest way."""
    found = _together(before, pace, source, time) or _alone(before, pace, source, time)
    if found is not None:
        return found
    half = len(time) // 2
    if half < PART_ROWS:
        return _one_by_one(before, pace, source, time)
    first = _some(before, pace, source[:half], time[:half])
    last = _some(first.after, pace, source[half:], time[half:])
    column, wrong = np.concatenate([first.column, last.column]), np.concatenate([first.wrong, last.wrong])
    return Advance(last.after, column, first.far_ahead + last.far_ahead, wrong)


def _together(before: StreamTime, pace: Pace, source: NDArray[np.object_], time: NDArray[np.int64]) -> Advance | None:
    """The same as `_one_by_one`, but quicker, for the usual case; None in any other case.

    In the usual case the position is, at every record, the highest time of the records that are no strays.
    """
    now, skipped, lead, second, leader, _, _ = before
    if len(time) < FEW_ROWS or now + skipped != lead:
        return None
    rows = _believed(before, pace, time)
    if rows is None:
        return None
    times, sources = (time, source) if len(rows) == len(time) else (time[rows], source[rows])
    highest = np.maximum(np.maximum.accumulate(times), lead)
    end, slowest = int(highest[-1]), int(times.min())
    step = max(int(highest[0]) - lead, int((highest[1:] - highest[:-1]).max(initial=0)))
    if step > pace.step_ms or end - second > pace.lead_ms or end - slowest > pace.lead_ms:
        return None
    ahead, best = sources[int(times.argmax())], int(times.max())
    is_leader = crc32(ahead) == leader
    second = int(times[sources != ahead].max(initial=second)) if is_leader or best > lead else max(second, best)
    if best > lead and not is_leader:
        second, leader = max(second, lead), crc32(ahead)
    after = StreamTime(end - skipped, skipped, end, second, leader)
    if times is time:
        return Advance(after, highest - skipped, 0, np.zeros(len(time), np.bool_))
    strays = np.delete(time, rows)
    if int(strays[strays > lead].min(initial=END)) - end <= pace.lead_ms:
        return None
    column = highest[np.searchsorted(rows, np.arange(len(time)), side="right") - 1] - skipped
    return Advance(after, column, int((strays > lead).sum()), _wrong(time, rows, lead))


def _wrong(time: NDArray[np.int64], believed: NDArray[np.intp], lead: int) -> NDArray[np.bool_]:
    """Which records (n,) have a clock that is surely wrong. `believed`: rows of no strays, the first is one of them."""
    wrong = time > MAX_TIME_MS
    timed = np.flatnonzero((time >= 0) & ~wrong)
    is_stray = np.isin(timed, believed, assume_unique=True, invert=True)
    wrong[timed[1:]] = is_stray[1:] & ~is_stray[:-1] & (time[timed[1:]] > lead)
    return wrong


def _believed(before: StreamTime, pace: Pace, time: NDArray[np.int64]) -> NDArray[np.intp] | None:
    """The rows of records near the position; None where the strays among them may have an effect."""
    position = before.now + before.skipped
    rows = np.flatnonzero((time >= position - pace.lead_ms) & (time <= min(position + pace.lead_ms, MAX_TIME_MS)))
    is_calm = len(rows) > 0 and rows[0] == 0 and rows[-1] == len(time) - 1
    return rows if is_calm and int((rows[1:] - rows[:-1]).max(initial=0)) < STRAYS else None


def _alone(before: StreamTime, pace: Pace, source: NDArray[np.object_], time: NDArray[np.int64]) -> Advance | None:
    """The same as `_one_by_one`, if all are strays of the one source that was too far ahead before; else None."""
    is_same = before.strays > 0 and before.stray == before.leader == crc32(source[0]) and (source == source[0]).all()
    if not is_same or int(time.min()) - before.now - before.skipped <= pace.lead_ms or int(time.max()) > MAX_TIME_MS:
        return None
    highest = np.maximum(np.maximum.accumulate(time), before.lead)
    if max(int(highest[0]) - before.lead, int((highest[1:] - highest[:-1]).max(initial=0))) > pace.lead_ms:
        return None
    after, nowhere = before._replace(lead=int(highest[-1])), np.zeros(len(time), np.bool_)
    return Advance(after, np.full(len(time), before.now), 0, nowhere)


def _one_by_one(before: StreamTime, pace: Pace, source: NDArray[np.object_], time: NDArray[np.int64]) -> Advance:
    """The rules of this module, applied to one record after the other."""
    after, column, far_ahead, wrong = before, [], 0, []
    for name, moment in zip(source.tolist(), time.tolist(), strict=True):
        is_ahead, is_first = moment > MAX_TIME_MS, after.strays == 0 or moment > MAX_TIME_MS
        if is_time(moment):
            gap = moment - after.now - after.skipped
            if abs(gap) <= pace.lead_ms and after.lead != NO_TIME:
                after = _after(after, pace, crc32(name), moment)
            elif after.lead == NO_TIME:
                after = _at(after, moment, crc32(name))
            else:
                is_ahead = min(gap, moment - after.lead) > pace.lead_ms
                after = _after_stray(after, pace, crc32(name), moment)
        far_ahead += is_ahead
        wrong.append(is_ahead and is_first)
        column.append(after.now)
    return Advance(after, np.array(column, np.int64), far_ahead, np.array(wrong, np.bool_))


def _after(before: StreamTime, pace: Pace, source: int, time: int) -> StreamTime:
    """The stream time after a record that is no stray. `source` is a CRC-32."""
    now, skipped, lead, second, leader, _, _ = before
    if source == leader:
        lead = max(lead, time)
    elif time > lead:
        lead, second, leader = time, lead, source
    else:
        second = max(second, time)
    position = now + skipped
    alone = min(lead, position + pace.step_ms, second + pace.lead_ms) if source == leader else second
    move = max(second, alone, position) - position
    counted = min(move, pace.step_ms)
    return StreamTime(now + counted, skipped + move - counted, lead, second, leader)


def _after_stray(before: StreamTime, pace: Pace, source: int, time: int) -> StreamTime:
    """The stream time after a stray. `source` is a CRC-32."""
    strays, side = before.strays, 1 if time > before.now + before.skipped else -1
    if strays * side <= 0:
        strays = side
    elif source != before.stray:
        strays += side
    if abs(strays) >= STRAYS:
        return _at(before, time, source)
    if source == before.leader and time - before.lead <= pace.lead_ms:  # the leader's own time goes on
        before = before._replace(lead=max(before.lead, time))
    return before._replace(strays=strays, stray=source)


def _at(before: StreamTime, time: int, source: int) -> StreamTime:
    """Set the position to this time; the stream time does not move."""
    return StreamTime(before.now, time - before.now, time, time, source)


def is_time(time: int) -> bool:
    """Whether a record's time, in ms since the epoch, is one that can be believed and written."""
    return 0 <= time <= MAX_TIME_MS
