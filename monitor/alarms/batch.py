"""Applies the episode rule to one batch of one partition, without a Python statement for each normal beat.

One call handles any number of unflagged beats in a row: only the one that closes an episode causes an event. Python
statements run only for beats at which something may change: a flagged beat, the first beat of a source that has a
state, and a beat that comes after a silence. Such a beat and the unflagged beats after it form a `Run`. The sources
that have a state, or get one in this batch, are the active ones; all others cost nothing.

`tests/alarms/beat_by_beat.py` does the same one beat at a time, and a property test compares the two.
"""

from __future__ import annotations

from itertools import count, pairwise, repeat
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.batch_columns import ECTOPIC, UNSCORABLE, PartitionBeats
from monitor.alarms.no_signal import after_stop, forgotten, frozen
from monitor.alarms.rule import (
    KINDS,
    NOT_PERSONAL,
    QUIET,
    UNUSUAL_SHAPE,
    EpisodeState,
    Event,
    PersonalFlag,
    SourceState,
    after_beat,
    after_closing,
    after_unflagged,
    is_outdated,
    while_not_open,
    without_episode,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from monitor.alarms.no_signal import Silence
    from monitor.alarms.rule import EpisodeRule, EventName, Kind

# Its first beat: position among the beats of active sources, stream time, offset, time, physiological flag, technical
# cause. The unflagged beats behind that one: how many, stream time and offset of the last. A plain tuple, because a
# step makes hundreds of them.
Run = tuple[int, int, int, int, int, int, int, int, int]

EpisodeStates = tuple[EpisodeState, EpisodeState]  # one for each kind
NOTHING: EpisodeStates = (QUIET, QUIET)
MAX_PLAIN = 10_000  # runs that are remembered, some 3 MB


class PlainRuns(dict[tuple[EpisodeState, int, int], EpisodeStates]):
    """What came of runs without events, while no episode was open: the same few states and runs come again and again.

    The key is the physiological state before, the flag of the first beat, and the number of unflagged beats behind it.
    Neither offsets nor times matter then.
    """

    def add(self, run: tuple[EpisodeState, int, int], after: EpisodeStates) -> None:
        if len(self) >= MAX_PLAIN:
            self.clear()
        self[run] = after


class BatchObserver:
    """Applies the rule to one batch of one partition, once. `sources` has the states; they are updated in place.

    `sources` is ordered by stream time: the source that has been silent for the longest comes first.
    """

    def __init__(
        self,
        rule: EpisodeRule,
        sources: dict[bytes, SourceState],
        beats: PartitionBeats,
        plain: PlainRuns,
        gaps: Mapping[int, Silence | None],
    ) -> None:
        """`plain` has what is known of runs under this rule; it grows.

        `gaps`: the beats, by their places, with which a source comes back, and the silence before; None: the alarm
        about it is on.
        """
        self._rule = rule
        self._gaps = gaps
        self._sources = sources
        self._plain = plain
        self._beats = beats
        self._rows = np.empty(0, np.intp)  # of the active sources' beats, source by source
        self._events: list[tuple[int, int, Event]] = []  # with its row, and the row at which it was noticed
        self._new: set[bytes] = set()  # sources that had no state before this batch
        self.changes: dict[bytes, SourceState | None] = {}  # the state after the batch where it changed; None: over

    def run(self, *, is_reread: bool) -> None:
        """Apply the rule to the beats, up to `expire`: `events` and `changes` tell what came of it.

        `is_reread`: some of its beats may have been observed before.
        """
        results = [self._source_after(source, runs) for source, runs in self._runs(is_reread=is_reread)]
        results.sort(key=itemgetter(0))  # in the order in which their states changed first
        remaining = []
        for _, source, state in results:
            was_known = self._sources.pop(source, None) is not None
            if state is not None:
                remaining.append((state.offset, source, state))
            if was_known or state is not None:
                self.changes[source] = state
            if not was_known:
                self._new.add(source)
        remaining.sort(key=itemgetter(0))
        self._sources.update(
            (source, state) for _, source, state in remaining
        )  # a source with a recent beat comes last

    def stop(self, silence: Silence) -> SourceState:
        """Open the alarm of a source that has stopped; gives its state, which is not among `sources` any more."""
        state = self._sources.pop(silence.source, None)
        if state is None and silence.source not in self.changes:
            self._new.add(silence.source)
        physiological, technical = NOTHING if state is None else state.episodes
        state = self._after_stop(silence, frozen(physiological), technical, len(self._beats.stream_time))
        self.changes[silence.source] = state
        return state

    def _after_stop(
        self, silence: Silence, physiological: EpisodeState, technical: EpisodeState, noticed: int
    ) -> SourceState:
        """The state of a source that has stopped. `noticed`: the place of the beat that showed it."""
        technical, name = after_stop(technical, silence)
        row = self._row_after(silence.stream_time + self._rule.no_signal_ms)
        event = Event(name, "technical", silence.source, row, technical, silent=True)
        self._events.append((row, self._beats.first_row + noticed, event))
        return SourceState((physiological, technical), silence.stream_time, silence.offset)

    def expire(self) -> None:
        """Close what has been silent for too long at the end of the batch."""
        now, silent = int(self._beats.stream_time[-1]), []
        for source, state in self._sources.items():
            if now - state.stream_time <= self._rule.silence_ms:
                break
            silent.append((source, state))
        for source, state in silent:
            self._close_silent(source, state, self._beats.first_row + len(self._beats.stream_time))
            del self._sources[source]
            self._drop(source)

    def _drop(self, source: bytes) -> None:
        """The state of a source is over."""
        if source in self._new:
            del self.changes[source]  # it came and went within the batch
        else:
            self.changes[source] = None

    def forget(self, absent: dict[bytes, SourceState]) -> None:
        """Close the alarms of sources that have stopped, `absent`, for too long, and forget those."""
        for source in forgotten(absent, int(self._beats.stream_time[-1]), self._rule.forget_ms):
            noticed = self._beats.first_row + len(self._beats.stream_time)
            self._close(source, absent.pop(source), noticed, self._rule.forget_ms, is_forgotten=True)
            self._drop(source)

    def events(self) -> list[Event]:
        """The events of the batch, in the order of the beats that caused them."""
        return [event for _, _, event in sorted(self._events, key=itemgetter(0, 1))]

    def _runs(self, *, is_reread: bool) -> Iterator[tuple[bytes, list[Run]]]:
        """Each active source with its runs."""
        beats = self._beats
        sources, rows, of = self._active(is_reread=is_reread)
        if not len(rows):
            return
        self._rows = rows
        stream_time, offset = beats.stream_time[rows], beats.offset[rows]
        is_first = np.diff(of, prepend=-1) != 0
        elapsed = np.diff(stream_time, prepend=0).view(np.uint64)  # exact within a source, however far apart times are
        is_late = elapsed > self._rule.silence_ms
        begins = beats.flags.flagged[rows] | is_first | is_late
        if self._gaps:
            begins |= np.isin(rows, list(self._gaps))
        starts = np.flatnonzero(begins)
        last = np.append(starts[1:], len(rows)) - 1
        at = rows[starts]
        columns = (
            starts,
            stream_time[starts],
            offset[starts],
            beats.time[at],
            beats.flags.physiological[at],
            beats.flags.cause[at],
        )
        ends = (last - starts, stream_time[last], offset[last])
        runs = list(zip(*(column.tolist() for column in (*columns, *ends)), strict=True))
        firsts = np.flatnonzero(is_first[starts])
        bounds = pairwise([*firsts.tolist(), len(runs)])
        for source, (start, end) in zip(of[starts[firsts]].tolist(), bounds, strict=True):
            yield sources[source], runs[start:end]

    def _active(self, *, is_reread: bool) -> tuple[list[bytes], NDArray[np.intp], NDArray[np.intp]]:
        """The active sources; the rows of their beats, source by source; for each row, the index of its source."""
        beats, known = self._beats, self._sources
        senders = beats.source.tolist()
        active = set(known) if len(known) < len(senders) else known.keys() & senders  # the shorter of the two
        active.update(beats.source[beats.flags.flagged].tolist())
        active.update(beats.source[list(self._gaps)].tolist() if self._gaps else ())
        sources = list(active)
        number = dict(zip(sources, count()))
        of = np.fromiter(map(number.get, senders, repeat(-1)), np.intp, len(senders))
        is_active = of >= 0
        if is_reread:
            observed = [known[source].offset if source in known else -1 for source in sources]
            is_active &= beats.offset > np.array([*observed, -1])[of]
        rows = np.flatnonzero(is_active)
        narrow = of[rows].astype(np.min_scalar_type(len(sources)))  # NumPy sorts 16 bits by radix, in a tenth
        rows = rows[np.argsort(narrow, kind="stable")]
        return sources, rows, of[rows]

    def _source_after(self, source: bytes, runs: list[Run]) -> tuple[int, bytes, SourceState | None]:
        """The offset at which the state of a source changed first, the source, and its state after these runs.

        The offset is -1 if the state never changed, the state None if nothing needs to be remembered.
        """
        state, first_change = self._sources.get(source), -1
        for run in runs:
            position, now, offset, _, flag, cause, following, last_time, last_offset = run
            if self._gaps and (place := int(self._rows[position])) in self._gaps:
                state = self._after_gap(source, state, place)
                first_change = offset if first_change < 0 else first_change
            if state is not None and now - state.stream_time > self._rule.silence_ms:
                self._close_silent(source, state, self._beats.first_row + int(self._rows[position]))
                state, first_change = None, offset if first_change < 0 else first_change
            if state is None and not cause and flag in {0, UNSCORABLE}:
                continue
            first_change = offset if first_change < 0 else first_change
            before = NOTHING if state is None else state.episodes
            is_plain = before[1] is QUIET and not cause and flag <= 0 and before[0].opened_offset < 0
            known = self._plain.get((before[0], flag, following)) if is_plain else None
            after = known or self._episodes_after(source, before, run, is_plain=is_plain)
            state = None if after is NOTHING else SourceState(after, last_time, last_offset)
        return first_change, source, state

    def _after_gap(self, source: bytes, state: SourceState | None, place: int) -> SourceState | None:
        """The state of a source that comes back with the beat at this place: its alarm closes, what was frozen goes on.

        Each stop is an alarm of its own: it does not open again.
        """
        physiological, technical = NOTHING if state is None else state.episodes
        if (silence := self._gaps[place]) is not None:
            physiological, technical = self._after_stop(silence, frozen(physiological), technical, place).episodes
        row = self._beats.first_row + place
        self._events.append((row, row, Event("closed", "technical", source, row, technical)))
        if physiological is QUIET:
            return None
        return SourceState((physiological, QUIET), int(self._beats.stream_time[place]), -1)

    def _episodes_after(self, source: bytes, before: EpisodeStates, run: Run, *, is_plain: bool) -> EpisodeStates:
        """The episode states after a run; `NOTHING` where nothing needs to be remembered.

        A plain run finds no episode open, and has no technical cause and no personal flag: where it causes no event,
        what comes of it is kept in `_plain`.
        """
        (physiological, technical), events = before, len(self._events)
        position, _, offset, time, flag, cause, following, _, _ = run
        beat = position, offset, time
        if flag not in {0, UNSCORABLE}:
            physiological = self._after_flagged(source, "physiological", physiological, flag, beat)
        if physiological is not QUIET and (beats := following + (not flag)):
            start = position + 1 + following - beats
            physiological = self._after_unflagged(source, "physiological", physiological, start, beats)
        if cause:
            technical = self._after_flagged(source, "technical", technical, cause, beat)
        if technical is not QUIET and (beats := following + (not cause)):
            start = position + 1 + following - beats
            technical = self._after_unflagged(source, "technical", technical, start, beats)
        after = NOTHING if physiological.is_quiet and technical.is_quiet else (physiological, technical)
        if is_plain and len(self._events) == events:
            self._plain.add((before[0], flag, following), after)
        return after

    def _after_flagged(
        self, source: bytes, kind: Kind, episode: EpisodeState, flag: int, beat: tuple[int, int, int]
    ) -> EpisodeState:
        """The state after one beat (position, offset, time) that may open an episode.

        `flag` is the physiological flag or the technical cause; 0 for an unflagged beat.
        """
        position, offset, time = beat
        cause, personal = abs(flag), NOT_PERSONAL
        if flag > 0 and kind == "physiological":
            row, flags = self._rows[position], self._beats.flags
            cause, personal = UNUSUAL_SHAPE, PersonalFlag(flag, int(flags.priority[row]), bool(flags.begins[row]))
        elif flag in ECTOPIC:
            cause, personal = ECTOPIC[flag], PersonalFlag(1, 0)
        after, event = after_beat(episode, self._rule, cause=cause, offset=offset, time=time, personal=personal)
        if event is not None:
            is_further = event == "updated" and after.priority == episode.priority
            self._add_event(event, source, kind, after, position, is_further=is_further)
        return after

    def _after_unflagged(
        self, source: bytes, kind: Kind, episode: EpisodeState, start: int, beats: int
    ) -> EpisodeState:
        """The state after `beats` unflagged beats in a row, the first of them at the position `start`."""
        rule = self._rule
        if not beats:
            return episode
        if episode.is_open:
            needed = max(rule.close - episode.unflagged, 1)
            if beats < needed:
                return after_unflagged(episode, rule, beats)
            closed, last = after_unflagged(episode, rule, needed), start + needed - 1
            self._add_event("closed", source, kind, closed, last)
            if not rule.merge_ms:
                return QUIET
            after = after_closing(closed, rule, self._time(last))
            return self._after_unflagged(source, kind, after, last + 1, beats - needed)
        if episode.closed_at >= 0 and is_outdated(episode, rule, self._time(start)):
            episode = without_episode(episode)
        if (episode.recent << 1 & ((1 << rule.window) - 1)).bit_count() >= rule.flagged:
            # A state from before a restart with another rule: enough beats were flagged already, so the next one opens.
            beat = start, int(self._beats.offset[self._rows[start]]), self._time(start)
            opened = self._after_flagged(source, kind, episode, 0, beat)
            return self._after_unflagged(source, kind, opened, start + 1, beats - 1)
        same = beats if episode.closed_at < 0 else self._beats_of_same(episode, start, beats)
        episode = while_not_open(episode, rule, same)
        return episode if same == beats else while_not_open(without_episode(episode), rule, beats - same)

    def _beats_of_same(self, episode: EpisodeState, start: int, beats: int) -> int:
        """How many of these beats, from the position `start` on, come before a closed episode is outdated."""
        times = self._beats.time[self._rows[start : start + beats]]
        closed_at, merge_ms = episode.closed_at, self._rule.merge_ms
        is_outside = (times < closed_at - merge_ms) | (times > closed_at + merge_ms)
        return int(is_outside.argmax()) if is_outside.any() else beats

    def _time(self, position: int) -> int:
        return int(self._beats.time[self._rows[position]])

    def _add_event(
        self,
        name: EventName,
        source: bytes,
        kind: Kind,
        episode: EpisodeState,
        position: int,
        *,
        is_further: bool = False,
    ) -> None:
        at = int(self._rows[position])
        row, reopened = self._beats.first_row + at, name == "opened" and episode.opened_offset != self._beats.offset[at]
        event = Event(name, kind, source, row, episode, reopened=bool(reopened), is_further=is_further)
        self._events.append((row, row, event))

    def _close_silent(self, source: bytes, state: SourceState, noticed: int) -> None:
        self._close(source, state, noticed, self._rule.silence_ms)

    def _close(
        self, source: bytes, state: SourceState, noticed: int, after_ms: int, *, is_forgotten: bool = False
    ) -> None:
        """Close what is open, at the partition's first beat after a silence of this length.

        `noticed`: the row that showed it.
        """
        row = self._row_after(state.stream_time + after_ms)
        for kind, episode in zip(KINDS, state.episodes, strict=True):
            if episode.is_open:
                event = Event("closed", kind, source, row, episode, silent=True, forgotten=is_forgotten)
                self._events.append((row, noticed, event))

    def _row_after(self, stream_time: int) -> int:
        """The row of the partition's first beat after this stream time."""
        return self._beats.first_row + int(np.searchsorted(self._beats.stream_time, stream_time, side="right"))
