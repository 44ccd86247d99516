"""The profiles of the sources of all partitions that a member reads: kept, stored, restored, reset and forgotten.

A partition's sources can be restored at any time from the rows that `changes` gave out and the beats from `read_from`
on: that gives the same profiles, bit for bit, because a row says up to which offset it has its source's beats, and
`observe` leaves out beats that a row has. See `monitor.profiles.register` for when rows are written.

- A beat that cannot be scored changes nothing.
- A record time that is missing, negative or after the year 9999 is not known: no RR before it and after it, and it does
  not count as learning time. So a source without times never learns, and is judged by the population.
- A source whose record times jump by more than `forget_ms` begins to learn again, see `monitor.profiles.jumps`. That
  depends on its own beats alone, so that a restore, which does not know the stream time of beats that are read again,
  gives the same. Sources that are not heard for longer than that, and an hour, by the stream time of their
  partition, are dropped.
- A person's reset takes effect at the end of the beats that were judged, and is in the row that is written next.

Bounds, see `monitor.profiles.exchange`. At most MOST_LEARNING sources learn at a time, in 0.6 GB, and at most
MOST_SOURCES are kept, in 0.4 GB while they have one template each. When all places are taken, a source that learns and
was not heard for a minute of stream time loses its place, the longest silent first; where that is not enough, a source
with a profile that was not heard for an hour. A source without a place waits: it is judged by the population, and asks
again at each beat. So somebody who invents a key for each record takes all free places once, and from then on each for
a minute at most; a source that is heard keeps its place. Up to the bounds all results depend on the beats alone. Who
waits beyond them depends on all partitions of the process, so after a kill or a rebalance it may be another source.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.beat import MAX_KEY_BYTES, name_fault
from monitor.profiles.batch import SourceBeats
from monitor.profiles.columns import KNOWN, LEARNER, LEARNING, NEVER, NONE, SICK
from monitor.profiles.exchange import ObservedBeats, Place, Places, ProfileChanges, RestoredSources, SourceCounts
from monitor.profiles.jumps import gaps, latest, note_jumps
from monitor.profiles.profiles import Profiles, as_intervals
from monitor.profiles.register import PartitionRows, Register
from monitor.profiles.rounds import by_source
from monitor.records.record import partition_slices
from monitor.records.stream_time import MAX_TIME_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monitor.beats.beat import Beats
    from monitor.profiles.exchange import StoredRows
    from monitor.profiles.profiles import ProfileSummary
    from monitor.records.stream_time import StreamTime

LEAST_SILENCE_MS = {LEARNING: 60_000, KNOWN: 3_600_000}  # after which a source may lose its place to another
FORGET_SLACK_MS = 3_600_000  # the stream time may be ahead of a source's own by that much
LOOKS = 4  # in that time, for sources that are to be dropped
RESTORED_AT_ONCE = 4096  # rows; bounds the memory of rows that find no place
_PLACES = Places()
MOST_RESETS = 100_000  # sources whose last reset is remembered, as many as can have a threshold


class SourceProfiles:
    """The profiles of all sources of the partitions of a member."""

    def __init__(
        self, seconds: float, forget_ms: int, places: Places = _PLACES, *, has_beat_times: bool = True
    ) -> None:
        """`seconds`: how long a source learns, see `Profiles`.

        `has_beat_times`: whether record times are those of the beats. Else no RR is known.
        """
        self._has_beat_times = has_beat_times
        self._profiles = Profiles(seconds)
        self._forget_ms = forget_ms
        self._places = places
        self._register = Register()
        self._left: list[NDArray[np.int64]] = []  # rows whose sources got others; kept until the next call
        self._deleted: dict[Place, None] = {}  # rows to be deleted
        self._resets: dict[bytes, int] = {}  # source -> version of its last reset, the latest at the end

    @property
    def counts(self) -> SourceCounts:
        """How many sources are kept."""
        sources, learning = self._profiles.sources, self._profiles.learning
        sick = int(np.count_nonzero((sources["phase"] == KNOWN) & (sources["flags"] & SICK != 0)))
        return SourceCounts(learning, len(self._profiles) - learning, sick)

    @property
    def watched(self) -> Register:
        """The rows with the last beats of their sources."""
        return self._register

    def summary(self, row: int) -> ProfileSummary:
        """What a person sees of the profile in this row."""
        return self._profiles.summary(row)

    def typical(self, rows: NDArray[np.int64], template: NDArray[np.int8]) -> NDArray[np.float32]:
        """A template of each source (k,), see `Profiles.typical`."""
        return self._profiles.typical(rows, template)

    def row(self, partition: int, source: bytes) -> int:
        """The row of a source; NONE where it has none."""
        return self._register.row(partition, source)

    def carry(self, rows: NDArray[np.int64]) -> NDArray[np.void]:
        """What the rules remember of sources (k,): records of `columns.CARRY`."""
        return self._profiles.carry(rows)

    def set_carry(self, rows: NDArray[np.int64], carry: NDArray[np.void]) -> None:
        """Keep what the rules remember of sources (k,), all different: after `observe`, before any other call."""
        self._profiles.set_carry(rows, carry)

    def assign(self, partition: int, stored: StoredRows) -> RestoredSources:
        """Begin to read a partition: replaces all that was known of it."""
        self.revoke(partition)
        owner = PartitionRows(stored.offset, stored.read_from, {}, stored.offset, time=stored.stream_time)
        owner.ended, owner.heard = dict(stored.ended), stored.heard
        if stored.stream_time is not None:  # a source whose clock is behind has time to be heard
            owner.looked_ms = stored.stream_time.now
        self._register.partitions[partition] = owner
        found = {name: name_fault(name) for name in stored.rows}
        faults = {name[:MAX_KEY_BYTES]: fault for name, fault in found.items() if fault}
        names = [name for name, fault in found.items() if not fault]
        names.sort(key=lambda name: len(stored.rows[name]) > LEARNER.itemsize)  # those with a profile first
        outdated = 0
        for start in range(0, len(names), RESTORED_AT_ONCE):
            outdated += self._restore(partition, stored, names[start : start + RESTORED_AT_ONCE], faults)
        for name in sorted(self._resets.keys() & owner.rows.keys()):
            self._renew_if_older(partition, name)
        return RestoredSources(len(owner.rows), outdated, faults)

    def _restore(self, partition: int, stored: StoredRows, names: list[bytes], faults: dict[bytes, str]) -> int:
        """Restore some rows of a partition; returns how many are outdated."""
        restored = self._profiles.restore([stored.rows[name] for name in names])
        faults |= {names[number]: fault for number, fault in restored.faults.items()}
        places = np.flatnonzero(restored.rows != NONE)
        rows = restored.rows[places]
        is_outdated = self._profiles.sources["offset"][rows] >= stored.offset
        is_left_over = ~is_outdated & self._is_left_over(rows, is_outdated)
        for number in places[is_outdated | is_left_over].tolist():
            self._deleted[partition, names[number]] = None
        for number in places[is_left_over].tolist():
            faults[names[number]] = "as many sources as can be kept are there already"
        self._profiles.remove(rows[is_outdated | is_left_over])
        keep = ~(is_outdated | is_left_over)
        self._register.put(partition, [names[number] for number in places[keep].tolist()], rows[keep], is_stored=True)
        self._heard(rows[keep], stored.stream_time)
        return int(is_outdated.sum())

    def _is_left_over(self, rows: NDArray[np.int64], is_free: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the rows (k,) just restored find no place, if those that `is_free` (k,) are given back."""
        has_learner = self._profiles.sources["phase"][rows] == LEARNING
        is_learning = has_learner & ~is_free
        learning = self._profiles.learning - int(has_learner.sum()) + np.cumsum(is_learning)
        every = len(self._profiles) - len(rows) + np.cumsum(~is_free)
        left: NDArray[np.bool_] = (is_learning & (learning > self._places.learning)) | (every > self._places.all)
        return left

    def _heard(self, rows: NDArray[np.int64], time: StreamTime | None) -> None:
        """Say of restored rows (k,) when their sources were last heard: as their own times have it, if possible."""
        last_ms = self._profiles.sources["last_ms"][rows]
        self._register.last.restore(rows, self._profiles.sources["offset"][rows], last_ms, time)
        if time is None:
            return
        silence = np.clip(np.float64(time.now + time.skipped) - last_ms, 0, self._forget_ms + FORGET_SLACK_MS + 1)
        silence[last_ms == NEVER] = 0
        self._register.heard_ms[rows] = time.now - silence.astype(np.int64)

    def revoke(self, partition: int) -> None:
        """Another member reads this partition now."""
        self._release()
        owner = self._register.partitions.get(partition)
        if owner is None:
            return
        self._take_back(np.array(list(owner.rows.values()), np.int64))
        del self._register.partitions[partition]
        self._deleted = {place: None for place in self._deleted if place[0] != partition}

    def observe(self, beats: Beats, is_scorable: NDArray[np.bool_], noise: NDArray[np.float32]) -> ObservedBeats:
        """Compare beats with the profiles of their sources, and let the profiles learn from them.

        Beats of a partition stand next to each other in the order of their offsets. `is_scorable` (n,): others are not
        observed. `noise` (n,): see `SourceBeats`.
        """
        self._release()
        row = self._rows(beats)
        self._add_new(beats, row, is_scorable)
        is_known = np.zeros(len(row), np.bool_)
        has_row = np.flatnonzero(row != NONE)
        is_known[has_row] = beats.offset[has_row] <= self._profiles.sources["offset"][row[has_row]]
        order = has_row[is_scorable[has_row] & ~is_known[has_row]]
        order = order[by_source(row[order])]
        time_ms = np.where((beats.time >= 0) & (beats.time <= MAX_TIME_MS), beats.time, NEVER)
        elapsed = self._profiles.elapsed(row[order], time_ms[order])
        source_row = row
        is_gap, jumps = gaps(self._profiles.sources, row[order], elapsed, self._forget_ms)
        if is_gap.any():
            rows, first = np.unique(row[order], return_index=True)
            self._register.lacks(rows, beats.offset[order[first]])  # the jump before a gap has to be read again too
            source_row, row = row, row.copy()
            row[order] = self._begin_again(row[order], is_gap)
            source_row = latest(source_row, source_row[order], row[order])
            some = np.flatnonzero(row[order] != NONE)
            some = some[by_source(row[order[some]])]
            elapsed, order, jumps = elapsed[some], order[some], jumps[some]
        rr = np.full(len(row), np.nan, np.float32)
        rr[order] = as_intervals(elapsed) if self._has_beat_times else np.nan
        scored = self._profiles.observe(SourceBeats(row, beats.samples, time_ms, rr, noise), order)
        self._note(row[order], beats.offset[order])
        self._register.heard_again(beats, source_row)
        if len(jumps):
            note_jumps(self._profiles.sources, row[order], jumps)
        return ObservedBeats(scored, order, row, rr, source_row, is_known)

    def _rows(self, beats: Beats) -> NDArray[np.int64]:
        """The row of each beat's source (n,); NONE where it has none."""
        row = np.empty(len(beats), np.int64)
        for partition, part in partition_slices(beats.partition):
            owner = self._register.partitions[partition]
            of_source = owner.rows.get
            row[part] = np.fromiter(map(of_source, beats.source[part], repeat(NONE)), np.int64, part.stop - part.start)
            if owner.time is not None:
                found = row[part]
                self._register.heard_ms[found[found != NONE]] = owner.time.now
        return row

    def _add_new(self, beats: Beats, row: NDArray[np.int64], is_scorable: NDArray[np.bool_]) -> None:
        """Give rows to sources that have none from their first beat on that can be scored; write them into `row`."""
        wanted: dict[Place, list[int]] = {}
        missing = np.flatnonzero(row == NONE)
        for place, partition in zip(missing.tolist(), beats.partition[missing].tolist(), strict=True):
            found, ended = (partition, beats.source[place]), self._register.partitions[partition].ended
            if found in wanted or (is_scorable[place] and beats.offset[place] >= ended.get(found[1], 0)):
                wanted.setdefault(found, []).append(place)
        if not wanted:
            return
        granted = list(wanted)[: self._room(len(wanted))]
        new = self._profiles.add(len(granted))
        for partition, part in partition_slices(np.array([place[0] for place in granted], np.int32)):
            self._register.put(partition, [name for _, name in granted[part]], new[part], is_stored=False)
        for one, number in zip(granted, new.tolist(), strict=True):
            row[wanted[one]] = number
            self._since_reset(number, one)

    def _since_reset(self, row: int, place: Place) -> None:
        """Let a new source know of its last reset.

        Such a row is stored at once. So where there was a reset and no row is stored, the reset came after all beats
        that were judged so far, and those that are read again count for nothing.
        """
        version = self._resets.get(place[1], -1)
        if version >= 0:
            self._profiles.sources["reset"][row] = version
            self._profiles.sources["offset"][row] = self._register.partitions[place[0]].begin - 1
            self._register.urgent.add(row)

    def _begin_again(self, rows: NDArray[np.int64], gaps: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The rows of beats (n,), by source, that begin to learn again at some of them: each time they get another."""
        new = np.full(int(gaps.sum()), NONE, np.int64)
        granted = self._room(len(new))
        new[:granted] = self._profiles.add(granted)
        self._register.grow(len(self._profiles.sources))
        last = np.maximum.accumulate(np.where(gaps, np.arange(len(rows)), 0))  # of the gaps so far
        began = gaps[last] & (rows[last] == rows)
        after = np.where(began, new[np.cumsum(gaps) - 1], rows)
        ends = np.flatnonzero((np.diff(rows, append=-1) != 0) & began)
        self._replace(rows[ends], after[ends])
        self._left.append(np.setdiff1d(new[:granted], after[ends]))
        return after

    def _replace(self, old: NDArray[np.int64], new: NDArray[np.int64]) -> None:
        """Give sources new rows (k,) for old (k,), NONE where there is no place. The old rows stay for a while."""
        has_place = new != NONE
        self._profiles.sources["reset"][new[has_place]] = self._profiles.sources["reset"][old[has_place]]
        self._register.hand_over(old[has_place], new[has_place])
        self._deleted |= dict.fromkeys(self._register.take_back(old[~has_place]))
        self._left.append(old)

    def _release(self) -> None:
        """Give back the rows that were kept for the results of the last call."""
        for rows in self._left:
            self._take_back(rows)
        self._left.clear()

    def _take_back(self, rows: NDArray[np.int64]) -> None:
        """Drop sources (k,), and delete their rows where some were written."""
        self._deleted |= dict.fromkeys(self._register.take_back(rows))
        self._profiles.remove(rows)

    def _room(self, wanted: int) -> int:
        """How many sources more can learn, up to so many; others lose their places if need be."""
        if (missing := wanted - self._free) > 0:
            self._reclaim(LEARNING, missing)
        if (missing := wanted - self._free) > 0 and len(self._profiles) + missing > self._places.all:
            self._reclaim(KNOWN, missing)
        return max(0, min(wanted, self._free))

    @property
    def _free(self) -> int:
        """How many sources more can learn."""
        return min(self._places.learning - self._profiles.learning, self._places.all - len(self._profiles))

    def _reclaim(self, phase: int, count: int) -> None:
        """Take the places of up to so many sources in this phase that were not heard, the longest silent first."""
        phases = self._profiles.sources["phase"]
        silence = self._register.silence_ms()[: len(phases)]  # either table may have grown further than the other
        is_phase = phases[: len(silence)] == phase
        rows = np.flatnonzero((silence > LEAST_SILENCE_MS[phase]) & is_phase)
        if len(rows) > count:
            rows = rows[np.argpartition(-silence[rows], count)[:count]]
        self._take_back(rows)

    def _note(self, rows: NDArray[np.int64], offset: NDArray[np.int64]) -> None:
        """Remember which beats (k,), by source, the sources have, and that their stored rows lack them."""
        is_last = np.diff(rows, append=-1) != 0
        self._profiles.sources["offset"][rows[is_last]] = offset[is_last]
        is_first = np.diff(rows, prepend=-1) != 0
        self._register.lacks(rows[is_first], offset[is_first])

    def changes(
        self, ends: Mapping[int, int], stream_times: Mapping[int, StreamTime], *, rows_follow: bool = False
    ) -> ProfileChanges:
        """What is to be written at the end of a step, with these offsets of the next records, and stream times.

        It counts as written from now on: a checkpoint is delivered, or delivered again, or its partitions are assigned
        again. `rows_follow`: the rows are written after the offsets, so that a kill may lose them: what is read again
        is that of the step before.
        """
        before = {partition: self._register.read_from(partition, end) for partition, end in ends.items()}
        self.forget(stream_times)
        due = [self._register.due(partition, end) for partition, end in ends.items()]
        rows = np.unique(np.concatenate([np.array(sorted(self._register.urgent), np.int64), *due]))
        values = self._profiles.encode(rows) if len(rows) else []
        places = self._register.written(rows)
        deleted = self._deleted.keys() - set(places)
        self._deleted = {}
        after = {partition: self._register.read_from(partition, end) for partition, end in ends.items()}
        read_from = before if rows_follow else after
        written = tuple((*place, value) for place, value in zip(places, values, strict=True))
        return ProfileChanges(written, tuple(sorted(deleted)), read_from)

    def forget(self, stream_times: Mapping[int, StreamTime]) -> None:
        """Take note of the stream times at the end of a step: where nothing is written, in place of `changes`."""
        self._release()
        for partition, time in stream_times.items():
            self._forget(partition, time)

    def _forget(self, partition: int, time: StreamTime) -> None:
        """Take note of a partition's stream time, and drop sources that were not heard for too long."""
        owner = self._register.partitions[partition]
        if owner.time is None:
            self._register.heard_ms[self._register.rows(partition)] = time.now
        owner.time = time
        if time.now - owner.looked_ms < FORGET_SLACK_MS // LOOKS:
            return
        owner.looked_ms = time.now
        rows = self._register.rows(partition)
        self._take_back(rows[time.now - self._register.heard_ms[rows] > self._forget_ms + FORGET_SLACK_MS])

    def end(self, partition: int, source: bytes, offset: int) -> bool | None:
        """Drop a source that has ended before this offset, at the end of a step. Returns whether it had a row.

        None, and it stays, where it has a beat from that offset on. The results of the last `observe` stay valid.
        """
        row, owner = self.row(partition, source), self._register.partitions.get(partition)
        if owner is not None and owner.end <= owner.begin:
            owner.ended[source] = offset
        if row != NONE and self._profiles.sources["offset"][row] >= offset:
            return None
        self._left += [np.array([row], np.int64)] if row != NONE else []
        return row != NONE

    def reset(self, source: bytes, version: int) -> None:
        """Let a source learn again in every partition, once for each version: the offset of a control record."""
        if version <= self._resets.get(source, -1):
            return
        self._resets.pop(source, None)
        self._resets[source] = version
        if len(self._resets) > MOST_RESETS:
            del self._resets[next(iter(self._resets))]
        self._release()
        for partition in self._register.partitions:
            self._renew_if_older(partition, source)

    def _renew_if_older(self, partition: int, source: bytes) -> None:
        """Let a source learn again that has a row from before its last reset: another's may have taken its place."""
        row = self.row(partition, source)
        if row != NONE and self._profiles.sources["reset"][row] < self._resets[source]:
            self._renew(partition, source)

    def _renew(self, partition: int, source: bytes) -> None:
        """Let a source learn again after all beats that were judged so far. Its row is stored at the next occasion."""
        owner = self._register.partitions[partition]
        self._take_back(np.array([owner.rows[source]]))
        if not self._room(1):
            return
        row = self._profiles.add()
        self._register.put(partition, [source], row, is_stored=False)
        self._register.urgent.add(int(row[0]))
        self._profiles.sources["reset"][row] = self._resets[source]
        self._profiles.sources["offset"][row] = owner.end - 1
