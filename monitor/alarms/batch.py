"""The course of a partition's sources through one batch: source by source, and only where something can change.

Unflagged beats in a row are taken in one step, however many: of them, only the one that closes an episode causes
anything. What costs Python statements is a turn: a flagged beat, one after a silence, and the first one of a source
that was in trouble before.
"""

from __future__ import annotations

from itertools import count, pairwise, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.rule import KINDS, QUIET, Event, SourceState, advance, rest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitor.alarms.rule import EpisodeRule, EpisodeState, EventName, Kind

# Of a beat: its place among those that are followed, clock, offset, time, whether abnormal, why unscorable; of the
# unflagged ones after it: how many, clock and offset of the last. A plain tuple, since a step makes hundreds.
Turn = tuple[int, int, int, int, bool, int, int, int, int]


class PartitionBeats(NamedTuple):
    """The beats of one partition as columns (n,), in the order of their offsets."""

    first_row: int  # in the batch
    source: NDArray[np.object_]
    time: NDArray[np.int64]
    offset: NDArray[np.int64]
    stream_time: NDArray[np.int64]  # the partition's, highest beat time so far, ms since the epoch
    flagged: NDArray[np.bool_]  # abnormal or unscorable
    abnormal: NDArray[np.bool_]
    unscorable: NDArray[np.int8]  # the cause, 0 = scored


class BatchObserver:
    """One batch of one partition; `sources`, those in trouble, longest unheard first, is brought up to date."""

    def __init__(self, rule: EpisodeRule, sources: dict[bytes, SourceState], beats: PartitionBeats) -> None:
        self._rule = rule
        self._sources = sources
        self._beats = beats
        self._rows = np.empty(0, np.intp)  # of the beats that are followed, source by source
        self._found: list[tuple[int, int, Event]] = []  # each with its row, and the one at which it was found
        self._new: set[bytes] = set()  # in trouble since this batch
        self.changes: dict[bytes, SourceState | None] = {}  # what is left of each trouble that this batch changed

    def run(self, *, is_reread: bool) -> None:
        """Follow every source; `is_reread` says that some beats may have been observed before."""
        followed = [self._follow(source, turns) for source, turns in self._turns(is_reread=is_reread)]
        followed.sort(key=itemgetter(0))  # in the order in which their trouble changed first
        left = []
        for _, source, state in followed:
            was_known = self._sources.pop(source, None) is not None
            if state is not None:
                left.append((state.offset, source, state))
            if was_known or state is not None:
                self.changes[source] = state
            if not was_known:
                self._new.add(source)
        left.sort(key=itemgetter(0))
        self._sources.update((source, state) for _, source, state in left)  # to the end of the order
        self._expire()

    def _expire(self) -> None:
        """Close what has been silent for too long at the end of the batch; the longest unheard come first."""
        now, silent = int(self._beats.stream_time[-1]), []
        for source, state in self._sources.items():
            if now - state.stream_time <= self._rule.silence_ms:
                break
            silent.append((source, state))
        for source, state in silent:
            self._silence(source, state, self._beats.first_row + len(self._beats.stream_time))
            del self._sources[source]
            if source in self._new:
                del self.changes[source]  # came and went within the batch
            else:
                self.changes[source] = None

    def events(self) -> list[Event]:
        """In the order of their beats."""
        return [event for _, _, event in sorted(self._found, key=itemgetter(0, 1))]

    def _turns(self, *, is_reread: bool) -> Iterator[tuple[bytes, list[Turn]]]:
        """Each source that is or was in trouble, with its turns; found without a Python statement a beat."""
        beats = self._beats
        sources, rows, of = self._find(is_reread=is_reread)
        if not len(rows):
            return
        self._rows = rows
        stream_time, offset = beats.stream_time[rows], beats.offset[rows]
        is_first = np.diff(of, prepend=-1) != 0
        passed = np.diff(stream_time, prepend=0).view(np.uint64)  # within a source exact, however far times are apart
        is_late = passed > self._rule.silence_ms
        places = np.flatnonzero(beats.flagged[rows] | is_first | is_late)
        last = np.append(places[1:], len(rows)) - 1
        at = rows[places]
        columns = (
            places,
            stream_time[places],
            offset[places],
            beats.time[at],
            beats.abnormal[at],
            beats.unscorable[at],
        )
        ends = (last - places, stream_time[last], offset[last])
        turns = list(zip(*(column.tolist() for column in (*columns, *ends)), strict=True))
        firsts = np.flatnonzero(is_first[places])
        bounds = pairwise([*firsts.tolist(), len(turns)])
        for source, (start, end) in zip(of[places[firsts]].tolist(), bounds, strict=True):
            yield sources[source], turns[start:end]

    def _find(self, *, is_reread: bool) -> tuple[list[bytes], NDArray[np.intp], NDArray[np.intp]]:
        """Sources that are or were in trouble; the rows of their beats, source by source; the source of each row."""
        beats, known = self._beats, self._sources
        heard = beats.source.tolist()
        found = set(known) if len(known) < len(heard) else known.keys() & heard  # whichever is less to look at
        found.update(beats.source[beats.flagged].tolist())
        sources = list(found)
        number = dict(zip(sources, count()))
        of = np.fromiter(map(number.get, heard, repeat(-1)), np.intp, len(heard))
        is_found = of >= 0
        if is_reread:
            through = [known[source].offset if source in known else -1 for source in sources]
            is_found &= beats.offset > np.array([*through, -1])[of]
        rows = np.flatnonzero(is_found)
        narrow = of[rows].astype(np.min_scalar_type(len(sources)))  # of 16 bits or fewer, radix sort takes a tenth
        rows = rows[np.argsort(narrow, kind="stable")]
        return sources, rows, of[rows]

    def _follow(self, source: bytes, turns: list[Turn]) -> tuple[int, bytes, SourceState | None]:
        """The offset at which its trouble changed first, and what is left of it after these turns."""
        state, first = self._sources.get(source), -1
        for place, now, offset, time, abnormal, unscorable, after, stream_time, through in turns:
            if state is not None and now - state.stream_time > self._rule.silence_ms:
                self._silence(source, state, self._beats.first_row + int(self._rows[place]))
                state, first = None, offset if first < 0 else first
            if state is None and not abnormal and not unscorable:
                continue
            first = offset if first < 0 else first
            shape, signal = (QUIET, QUIET) if state is None else state.episodes
            start, beats = place + 1, after
            if unscorable:
                signal = self._flag(source, "technical", signal, unscorable, (place, offset, time))
            elif abnormal:
                shape = self._flag(source, "physiological", shape, 1, (place, offset, time))
                signal = signal if signal is QUIET else self._rest(source, "technical", signal, place, 1)
            else:
                start, beats = place, after + 1
            if beats and shape is not QUIET:
                shape = self._rest(source, "physiological", shape, start, beats)
            if beats and signal is not QUIET:
                signal = self._rest(source, "technical", signal, start, beats)
            state = None if shape.is_quiet and signal.is_quiet else SourceState((shape, signal), stream_time, through)
        return first, source, state

    def _flag(
        self, source: bytes, kind: Kind, episode: EpisodeState, cause: int, beat: tuple[int, int, int]
    ) -> EpisodeState:
        """The track after a flagged beat, or one that may open an episode all the same."""
        place, offset, time = beat
        moved, event = advance(episode, self._rule, cause=cause, offset=offset, time=time)
        if event is not None:
            self._tell(event, source, kind, moved, place)
        return moved

    def _rest(self, source: bytes, kind: Kind, episode: EpisodeState, place: int, beats: int) -> EpisodeState:
        """The track after unflagged beats in a row, the first of them at `place`."""
        rule = self._rule
        if episode.opened_offset >= 0:
            needed = max(rule.close - episode.unflagged, 1)
            if beats < needed:
                return rest(episode, rule, beats)
            self._tell("closed", source, kind, rest(episode, rule, needed), place + needed - 1)
            return QUIET
        if not episode.recent:
            return QUIET
        window = (1 << rule.window) - 1
        if (episode.recent << 1 & window).bit_count() >= rule.flagged:  # restored, and the rule was another one then
            row = int(self._rows[place])
            beat = place, int(self._beats.offset[row]), int(self._beats.time[row])
            return self._rest(source, kind, self._flag(source, kind, episode, 0, beat), place + 1, beats - 1)
        if beats > 1 and not episode.recent << (beats - 1) & window:
            return QUIET  # already before the last of them
        return rest(episode, rule, beats)

    def _tell(self, name: EventName, source: bytes, kind: Kind, episode: EpisodeState, place: int) -> None:
        row = self._beats.first_row + int(self._rows[place])
        self._found.append((row, row, Event(name, kind, source, row, episode)))

    def _silence(self, source: bytes, state: SourceState, found: int) -> None:
        stream_time, first_row = self._beats.stream_time, self._beats.first_row
        row = first_row + int(np.searchsorted(stream_time, state.stream_time + self._rule.silence_ms, side="right"))
        for kind, episode in zip(KINDS, state.episodes, strict=True):
            if episode.is_open:
                self._found.append((row, found, Event("closed", kind, source, row, episode, silent=True)))
