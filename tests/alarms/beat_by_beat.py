"""Episodes in the plainest way, one beat at a time. `monitor.alarms.episodes` must give exactly the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monitor.alarms.episodes import Observed, StateChange
from monitor.alarms.no_signal import Silence, after_stop, is_absent
from monitor.alarms.recent.technical import CLOCK
from monitor.alarms.rule import FREQUENT, KINDS, MEDIUM, QUIET, EpisodeState, Event, SourceState
from monitor.records.stream_time import Pace
from monitor.records.stream_time import advance as advance_time


def advance(episode, rule, beat, flag):
    """The state after one more beat, and the event it caused; the cause is 0 for a beat that is not flagged."""
    (_, offset, time), (cause, run, priority, begins) = beat, flag
    if episode.closed_at >= 0 and not -rule.merge_ms <= time - episode.closed_at <= rule.merge_ms:
        episode = EpisodeState(episode.recent, episode.length, episode.unflagged, cause=episode.cause)
    if not (cause or episode.recent or episode.is_open):  # nothing to remember but, maybe, an episode that closed
        return episode._replace(length=0, unflagged=0) if episode.opened_offset >= 0 else QUIET, None
    recent = (2 * episode.recent + (cause != 0)) % 2**rule.window
    was_closed, counts = episode.closed_at >= 0, (episode.flagged_beats, episode.seen_beats)
    episode = episode._replace(
        recent=recent,
        length=min(episode.length + 1, rule.window),
        unflagged=0 if cause else episode.unflagged + 1,
        flagged_beats=episode.flagged_beats + (cause != 0),
        seen_beats=episode.seen_beats + 1,
        cause=cause or episode.cause,
    )
    flags = recent.bit_count()
    if episode.is_open:
        if run and (priority > episode.priority or begins):
            return episode._replace(priority=max(priority, episode.priority)), "updated"
        return episode, "closed" if episode.unflagged >= rule.close else None
    if flags < rule.flagged and not run:
        return episode._replace(flagged_beats=counts[0], seen_beats=counts[1]) if was_closed else episode, None
    if was_closed:
        return episode._replace(closed_at=-1, priority=max(priority, episode.priority)), "opened"
    opened = {"flagged_beats": run or flags, "seen_beats": run or episode.length, "priority": priority}
    return episode._replace(opened_offset=offset, opened_at=time, **opened), "opened"


def remembered(episode, rule, time):
    """What is left of an episode after the beat that closed it."""
    if rule.merge_ms == 0 or time < 0:
        return QUIET
    return episode._replace(recent=0, length=0, unflagged=0, closed_at=time)


def column(source, time):
    """The columns of one beat."""
    return np.array([source], object), np.array([time], np.int64)


class BeatByBeat:
    """The same methods as `Episodes`. It looks at every beat, and its only order is that of dictionaries."""

    def __init__(self, rule, watched=()):
        """`watched`: the sources of which it is noticed that they stop."""
        self.rule, self.watched = rule, watched
        self.stream_times, self.sources, self.heard = {}, {}, {}  # of each partition
        self.open = dict.fromkeys(KINDS, 0)

    def stream_time(self, partition):
        return self.stream_times.get(partition)

    def revoke(self, partition):
        self.stream_times.pop(partition, None)
        self.count(self.sources.pop(partition, {}), -1)

    def assign(self, partition, stream_time, sources):
        self.revoke(partition)
        self.stream_times[partition] = stream_time
        self.sources[partition] = dict(sorted(sources.items(), key=lambda item: item[1].stream_time))
        self.count(sources, 1)

    def count(self, sources, sign):
        for state in sources.values():
            for kind, episode in zip(KINDS, state.episodes, strict=True):
                self.open[kind] += sign * episode.is_open

    def observe(self, beats, flags):
        events, changes, far_ahead = [], [], 0
        for partition in dict.fromkeys(beats.partition.tolist()):
            batch = Batch(self.rule, self.sources.setdefault(partition, {}), self.stream_times.get(partition))
            batch.watched, batch.heard = self.watched, self.heard.setdefault(partition, {})
            for row in range(len(beats)):
                if beats.partition[row] == partition:
                    beat = (beats.source[row], int(beats.offset[row]), int(beats.time[row]))
                    batch.beat(row, beat, Flags.of(flags, row))
            batch.expire()
            self.stream_times[partition] = batch.stream_time
            events += sorted(batch.events, key=lambda event: event.row)
            changes += [StateChange(partition, source, batch.sources.get(source)) for source in batch.changed()]
            far_ahead += batch.far_ahead
        for event in events:
            self.open[event.kind] += {"opened": 1, "updated": 0, "closed": -1}[event.name]
        return Observed(events, changes, far_ahead)


class Flags(NamedTuple):
    """What one beat counts for."""

    shape: int  # cause of the physiological kind
    run: int
    priority: int
    begins: bool  # a run
    signal: int  # cause of the technical kind
    unscorable: bool

    @classmethod
    def of(cls, columns, row):
        run, unscorable = int(columns.run[row]), int(columns.unscorable[row])
        shape = int(columns.abnormal[row] or run > 0)
        priority = int(columns.priority[row]) if run else MEDIUM
        if (frequent := int(columns.frequent[row])) and not run:
            shape, run, priority = 2 if frequent == FREQUENT else 1, 1, 0
        signal = max(unscorable, 0) if unscorable else int(columns.technical[row])
        begins = columns.run[row] > 0 and columns.frequent[row] == FREQUENT
        return cls(shape, run, priority, begins, signal, unscorable != 0)


class Batch:
    """What one batch does to the states of one partition's sources."""

    def __init__(self, rule, sources, stream_time):
        self.rule, self.sources, self.stream_time = rule, sources, stream_time
        self.far_ahead = 0
        self.stream_times = {}  # row -> the partition's stream time at it
        self.events = []
        self.touched = {}  # source -> whether it had a state before

    def beat(self, row, beat, flags):
        source, offset, time = beat
        moved = advance_time(self.stream_time, Pace.of_silence(self.rule.silence_ms), *column(source, time))
        self.stream_time, self.far_ahead = moved.after, self.far_ahead + moved.far_ahead
        clock = CLOCK * bool(moved.wrong[0])
        self.marks = tuple(one for one in (flags.signal, clock) if one)
        self.now = self.stream_times[row] = moved.after.now
        self.notice(row)
        if source in self.watched:
            self.heard_one(source, row, beat)
        state = self.sources.get(source)
        if state and offset <= state.offset:
            return  # read again
        if state and self.now - state.stream_time > self.rule.silence_ms:
            self.silence(source)
            state = None
        signal_cause = flags.signal or clock
        if not (state or flags.shape or signal_cause):
            return
        shape, signal = state.episodes if state else (QUIET, QUIET)
        if not flags.unscorable:  # else it is left as it is
            shape = self.advance("physiological", shape, row, beat, flags[:4])
        signal = self.advance("technical", signal, row, beat, (signal_cause, 0, MEDIUM, False))
        self.touched.setdefault(source, source in self.sources)
        self.sources.pop(source, None)  # the source of the last beat comes last
        if not (shape.is_quiet and signal.is_quiet):
            self.sources[source] = SourceState((shape, signal), self.now, offset)

    def heard_one(self, source, row, beat):
        state = self.sources.get(source)
        if state and is_absent(state):
            self.events.append(Event("closed", "technical", source, row, state.episodes[1]))
            self.touched.setdefault(source, True)
            del self.sources[source]
            if state.episodes[0] != QUIET:
                self.sources[source] = SourceState((state.episodes[0], QUIET), self.now, -1)
        self.heard[source] = Silence(*beat, self.now)

    def notice(self, row):
        """Sources that have stopped."""
        for silence in [one for one in self.heard.values() if self.now - one.stream_time > self.rule.no_signal_ms]:
            del self.heard[silence.source]
            state = self.sources.pop(silence.source, None)
            self.touched.setdefault(silence.source, state is not None)
            physiological, technical = state.episodes if state else (QUIET, QUIET)
            technical, name = after_stop(technical, silence)
            self.events.append(Event(name, "technical", silence.source, row, technical, silent=True))
            kept = physiological if physiological.opened_offset >= 0 else QUIET
            self.sources[silence.source] = SourceState((kept, technical), silence.stream_time, silence.offset)

    def advance(self, kind, episode, row, beat, flag):
        source, offset, time = beat
        moved, event = advance(episode, self.rule, beat, flag)
        if event:
            again = event == "opened" and moved.opened_offset < offset
            marks = self.marks if kind == "physiological" and event != "closed" else ()
            self.events.append(Event(event, kind, source, row, moved, reopened=again, marks=marks))
        return remembered(moved, self.rule, time) if event == "closed" else moved

    def silence(self, source, after_ms=None):
        """Close what is open of a source; as forgotten, if that comes after another silence than the rule's."""
        state, is_forgotten = self.sources[source], after_ms is not None
        after_ms = after_ms or self.rule.silence_ms
        row = min(row for row, time in self.stream_times.items() if time - state.stream_time > after_ms)
        for kind, episode in zip(KINDS, state.episodes, strict=True):
            if episode.is_open:
                event = Event("closed", kind, source, row, episode, silent=True, forgotten=is_forgotten)
                self.events.append(event)
        self.touched.setdefault(source, True)
        del self.sources[source]

    def expire(self):
        for source, state in list(self.sources.items()):
            elapsed, forget_ms = self.now - state.stream_time, self.rule.forget_ms
            if not is_absent(state) and elapsed > self.rule.silence_ms:
                self.silence(source)
            elif is_absent(state) and forget_ms and elapsed > forget_ms:
                self.silence(source, forget_ms)

    def changed(self):
        return [source for source, was_known in self.touched.items() if was_known or source in self.sources]
