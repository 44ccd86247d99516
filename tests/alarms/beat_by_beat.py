"""Episodes in the plainest way, one beat at a time. `monitor.alarms.episodes` must give exactly the same."""

from __future__ import annotations

import numpy as np

from monitor.alarms.episodes import Observed, StateChange
from monitor.alarms.rule import KINDS, QUIET, Event, SourceState
from monitor.records.stream_time import Pace
from monitor.records.stream_time import advance as advance_time


def advance(episode, rule, cause, offset, time):
    """The state after one more beat, and the event it caused; `cause` is 0 for a beat that is not flagged."""
    recent = (2 * episode.recent + (cause != 0)) % 2**rule.window
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
        return episode, "closed" if episode.unflagged >= rule.close else None
    if flags < rule.flagged:
        return episode, None
    opened = {"opened_offset": offset, "opened_at": time, "flagged_beats": flags, "seen_beats": episode.length}
    return episode._replace(**opened), "opened"


def column(source, time):
    """The columns of one beat."""
    return np.array([source], object), np.array([time], np.int64)


class BeatByBeat:
    """The same methods as `Episodes`. It looks at every beat, and its only order is that of dictionaries."""

    def __init__(self, rule):
        self.rule = rule
        self.stream_times, self.sources = {}, {}  # of each partition
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

    def observe(self, beats, abnormal, unscorable):
        events, changes, far_ahead = [], [], 0
        for partition in dict.fromkeys(beats.partition.tolist()):
            batch = Batch(self.rule, self.sources.setdefault(partition, {}), self.stream_times.get(partition))
            for row in range(len(beats)):
                if beats.partition[row] == partition:
                    beat = (beats.source[row], int(beats.offset[row]), int(beats.time[row]))
                    batch.beat(row, beat, bool(abnormal[row]), int(unscorable[row]))
            batch.expire()
            self.stream_times[partition] = batch.stream_time
            events += sorted(batch.events, key=lambda event: event.row)
            changes += [StateChange(partition, source, batch.sources.get(source)) for source in batch.changed()]
            far_ahead += batch.far_ahead
        for event in events:
            self.open[event.kind] += 1 if event.name == "opened" else -1
        return Observed(events, changes, far_ahead)


class Batch:
    """What one batch does to the states of one partition's sources."""

    def __init__(self, rule, sources, stream_time):
        self.rule, self.sources, self.stream_time = rule, sources, stream_time
        self.far_ahead = 0
        self.stream_times = {}  # row -> the partition's stream time at it
        self.events = []
        self.touched = {}  # source -> whether it had a state before

    def beat(self, row, beat, abnormal, unscorable):
        source, offset, time = beat
        moved = advance_time(self.stream_time, Pace.of_silence(self.rule.silence_ms), *column(source, time))
        self.stream_time, self.far_ahead = moved.after, self.far_ahead + moved.far_ahead
        self.now = self.stream_times[row] = moved.after.now
        state = self.sources.get(source)
        if state and offset <= state.offset:
            return  # read again
        if state and self.now - state.stream_time > self.rule.silence_ms:
            self.silence(source)
            state = None
        if not (state or abnormal or unscorable):
            return
        shape, signal = state.episodes if state else (QUIET, QUIET)
        if not unscorable:  # else it is left as it is
            shape = self.advance("physiological", shape, row, beat, int(abnormal))
        signal = self.advance("technical", signal, row, beat, unscorable)
        self.touched.setdefault(source, source in self.sources)
        self.sources.pop(source, None)  # the source of the last beat comes last
        if not (shape.is_quiet and signal.is_quiet):
            self.sources[source] = SourceState((shape, signal), self.now, offset)

    def advance(self, kind, episode, row, beat, cause):
        source, offset, time = beat
        if not cause and episode.is_quiet:
            return QUIET
        moved, event = advance(episode, self.rule, cause, offset, time)
        if event:
            self.events.append(Event(event, kind, source, row, moved))
        return QUIET if event == "closed" else moved

    def silence(self, source):
        state = self.sources[source]
        row = min(
            row
            for row, stream_time in self.stream_times.items()
            if stream_time - state.stream_time > self.rule.silence_ms
        )
        for kind, episode in zip(KINDS, state.episodes, strict=True):
            if episode.is_open:
                self.events.append(Event("closed", kind, source, row, episode, silent=True))
        self.touched.setdefault(source, True)
        del self.sources[source]

    def expire(self):
        for source, state in list(self.sources.items()):
            if self.now - state.stream_time <= self.rule.silence_ms:
                return
            self.silence(source)

    def changed(self):
        return [source for source, was_known in self.touched.items() if was_known or source in self.sources]
