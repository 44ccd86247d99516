"""Episodes in the plainest way, a beat at a time: what `monitor.episode` must come to, to the last number."""

from __future__ import annotations

from monitor.episode import KINDS, Event, Memory, Observed
from monitor.track import QUIET, Trouble


def advance(track, rule, cause, offset, time):
    """The track after one more beat, and what that caused; `cause` is 0 for a beat that is not flagged."""
    recent = (2 * track.recent + (cause != 0)) % 2**rule.window
    track = track._replace(
        recent=recent,
        length=min(track.length + 1, rule.window),
        unflagged=0 if cause else track.unflagged + 1,
        flagged_beats=track.flagged_beats + (cause != 0),
        seen_beats=track.seen_beats + 1,
        cause=cause or track.cause,
    )
    flags = recent.bit_count()
    if track.is_open:
        return track, "closed" if track.unflagged >= rule.close else None
    if flags < rule.flagged:
        return track, None
    opened = {"opened_offset": offset, "opened_at": time, "flagged_beats": flags, "seen_beats": track.length}
    return track._replace(**opened), "opened"


class BeatByBeat:
    """The same calls as `Episodes`. It looks at every beat and keeps no order but that of dictionaries."""

    def __init__(self, rule):
        self.rule = rule
        self.clocks, self.sources = {}, {}  # of each partition
        self.open = dict.fromkeys(KINDS, 0)

    def clock(self, partition):
        return self.clocks.get(partition)

    def forget(self, partition):
        self.clocks.pop(partition, None)
        self.count(self.sources.pop(partition, {}), -1)

    def restore(self, partition, clock, sources):
        self.forget(partition)
        self.clocks[partition] = clock
        self.sources[partition] = dict(sorted(sources.items(), key=lambda item: item[1].clock))
        self.count(sources, 1)

    def count(self, sources, sign):
        for trouble in sources.values():
            for kind, track in zip(KINDS, trouble.tracks, strict=True):
                self.open[kind] += sign * track.is_open

    def observe(self, beats, abnormal, unscorable):
        events, memories = [], []
        for partition in dict.fromkeys(beats.partition.tolist()):
            batch = Batch(self.rule, self.sources.setdefault(partition, {}), self.clocks.get(partition))
            for row in range(len(beats)):
                if beats.partition[row] == partition:
                    beat = (beats.source[row], int(beats.offset[row]), int(beats.time[row]))
                    batch.beat(row, beat, bool(abnormal[row]), int(unscorable[row]))
            batch.expire()
            self.clocks[partition] = batch.now
            events += sorted(batch.events, key=lambda event: event.row)
            memories += [Memory(partition, source, batch.sources.get(source)) for source in batch.changed()]
        for event in events:
            self.open[event.kind] += 1 if event.name == "opened" else -1
        return Observed(events, memories)


class Batch:
    """What one batch does to the sources in trouble of one partition."""

    def __init__(self, rule, sources, clock):
        self.rule, self.sources, self.now = rule, sources, clock
        self.clocks = {}  # row -> the partition's clock at it
        self.events = []
        self.touched = {}  # source -> whether it was in trouble before

    def beat(self, row, beat, abnormal, unscorable):
        source, offset, time = beat
        self.now = self.clocks[row] = time if self.now is None else max(self.now, time)
        trouble = self.sources.get(source)
        if trouble and offset <= trouble.offset:
            return  # read again
        if trouble and self.now - trouble.clock > self.rule.silence_ms:
            self.silence(source)
            trouble = None
        if not (trouble or abnormal or unscorable):
            return
        shape, signal = trouble.tracks if trouble else (QUIET, QUIET)
        if not unscorable:  # else it is left as it is
            shape = self.advance("physiological", shape, row, beat, int(abnormal))
        signal = self.advance("technical", signal, row, beat, unscorable)
        self.touched.setdefault(source, source in self.sources)
        self.sources.pop(source, None)  # what was heard last stands last
        if not (shape.is_quiet and signal.is_quiet):
            self.sources[source] = Trouble((shape, signal), self.now, offset)

    def advance(self, kind, track, row, beat, cause):
        source, offset, time = beat
        if not cause and track.is_quiet:
            return QUIET
        moved, event = advance(track, self.rule, cause, offset, time)
        if event:
            self.events.append(Event(event, kind, source, row, moved))
        return QUIET if event == "closed" else moved

    def silence(self, source):
        trouble = self.sources[source]
        row = min(row for row, clock in self.clocks.items() if clock - trouble.clock > self.rule.silence_ms)
        for kind, track in zip(KINDS, trouble.tracks, strict=True):
            if track.is_open:
                self.events.append(Event("closed", kind, source, row, track, silent=True))
        self.touched.setdefault(source, True)
        del self.sources[source]

    def expire(self):
        for source, trouble in list(self.sources.items()):
            if self.now - trouble.clock <= self.rule.silence_ms:
                return
            self.silence(source)

    def changed(self):
        return [source for source, was_known in self.touched.items() if was_known or source in self.sources]
