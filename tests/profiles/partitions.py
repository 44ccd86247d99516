"""Partitions of beats, and a topic of rows: what is left of a monitor that is killed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from monitor.beats.beat import Beats
from monitor.profiles.columns import NONE
from monitor.profiles.exchange import StoredRows
from monitor.profiles.sources import SourceProfiles
from monitor.records.stream_time import StreamTime

DAY_MS = 86_400_000


def beats_of(names, offset, time_ms, samples, partition=0):
    """Beats of these sources, of one partition or with a column of partitions."""
    partitions = np.broadcast_to(np.int32(partition), len(names)).copy()
    times = np.asarray(time_ms, np.int64)
    sources = np.array([*names, None], np.object_)[:-1]
    return Beats(
        np.asarray(samples, np.float32),
        sources,
        times,
        partitions,
        np.asarray(offset, np.int64),
        np.full(len(sources), np.nan, np.float32),
    )


def observe(profiles, beats, is_scorable=None):
    every = np.ones(len(beats), np.bool_) if is_scorable is None else is_scorable
    return profiles.observe(beats, every, np.full(len(beats), np.nan, np.float32))


@dataclass
class Monitor:
    """A process that observes beats, and what it wrote. `kill` loses all but that."""

    partitions: range
    rows: dict = field(default_factory=dict)  # (partition, source) -> row
    offsets: dict = field(default_factory=dict)  # partition -> (offset, read_from)
    resets: dict = field(default_factory=dict)  # source -> version
    scores: dict = field(default_factory=dict)  # (partition, offset) -> what was said of that beat

    def __post_init__(self):
        self.start()

    def start(self):
        """Begin with what was written. Control records are read before the partitions are assigned, or after."""
        self.profiles = SourceProfiles(120.0, DAY_MS)
        if len(self.resets) % 2:
            self._reset_all()
        for partition in self.partitions:
            offset, read_from = self.offsets.get(partition, (0, 0))
            rows = {name: row for (owner, name), row in self.rows.items() if owner == partition}
            restored = self.profiles.assign(partition, StoredRows(rows, offset, read_from, StreamTime.at(0)))
            assert not restored.faults
            assert not restored.outdated
        self._reset_all()

    def _reset_all(self):
        for name, version in self.resets.items():
            self.profiles.reset(name, version)

    def reset(self, name, version):
        self.resets[name] = version
        self.profiles.reset(name, version)

    def observe(self, beats, is_scorable):
        """Observe a batch, and let the carry of each source depend on all its beats."""
        found = observe(self.profiles, beats, is_scorable)
        is_observed = (found.row != NONE) & ~found.is_known & is_scorable
        for at in np.flatnonzero(is_observed).tolist():
            row = found.row[[at]]
            carry = self.profiles.carry(row)
            carry["scores"] = [[carry["scores"][0, 1], np.nan_to_num(found.scored.score[at])]]
            carry["run"] = (carry["run"] * 31 + beats.offset[at]) % 10_007
            self.profiles.set_carry(row, carry)
        return found

    def step(self, beats, is_scorable):
        """Observe a batch and write what belongs to it, as one transaction."""
        found = self.observe(beats, is_scorable)
        for at in range(len(beats)):
            said = found.scored.score[at].tobytes(), found.rr_seconds[at].tobytes()
            assert self.scores.setdefault((int(beats.partition[at]), int(beats.offset[at])), said) == said
        ends = {int(one): int(beats.offset[beats.partition == one].max()) + 1 for one in np.unique(beats.partition)}
        changes = self.profiles.changes(ends, {partition: StreamTime.at(0) for partition in ends})
        self.rows |= {(partition, name): row for partition, name, row in changes.written}
        for place in changes.deleted:
            self.rows.pop(place, None)
        self.offsets |= {partition: (end, changes.read_from[partition]) for partition, end in ends.items()}

    def state(self):
        """The whole state of every source: as it is written when nothing more is missing in its row."""
        far = dict.fromkeys(self.partitions, 10**9)
        changes = self.profiles.changes(far, {})
        return self.rows | {(partition, name): row for partition, name, row in changes.written}
