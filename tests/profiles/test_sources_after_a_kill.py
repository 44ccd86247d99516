"""A monitor that is killed at any time goes on, from its rows and the beats from `read_from` on, as if it had not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.profiles.columns import NEVER
from tests.profiles.beats_of_sources import source
from tests.profiles.partitions import DAY_MS, Monitor, beats_of

pytestmark = pytest.mark.slow  # half a minute

PARTITIONS = range(3)
KINDS = {b"a": "NNNNNNNV", b"b": "NNNNNNNB", b"c": "N", b"d": "NV"}
BEATS = 420  # of each source and partition
BATCH = 360


@cache
def stream():
    """Beats of three partitions with four sources each: gaps, times that are missing, beats that cannot be scored."""
    random = np.random.default_rng(11)
    parts = []
    for partition in PARTITIONS:
        names, samples, times = [], [], []
        for number, (name, kinds) in enumerate(KINDS.items()):
            some, time_ms = source((kinds * BEATS)[:BEATS], seed=10 * partition + number)
            gap = random.integers(200, 400)
            time_ms[gap:] += (2 * DAY_MS) * (partition == 1 and name in (b"a", b"c"))
            time_ms[random.integers(0, BEATS, 3)] += (3 * DAY_MS) * (partition == 2)  # wrong, each for one beat
            names += [name] * BEATS
            samples.append(some)
            times.append(time_ms)
        order = np.argsort(np.concatenate([np.arange(BEATS) + random.random() for _ in KINDS]), kind="stable")
        time_ms = np.concatenate(times)[order]
        time_ms[random.random(len(time_ms)) < 0.01] = random.choice([-1, NEVER, 2**63 - 1])
        names = [names[at] for at in order]
        parts.append(beats_of(names, 3 * np.arange(len(order)) + 5, time_ms, np.concatenate(samples)[order], partition))
    scorable = [random.random(len(part)) < 0.97 for part in parts]
    return parts, scorable


def batches(sizes):
    """(first, last) positions in the partitions of each batch, and which partitions it has."""
    parts, _ = stream()
    at = [0] * len(PARTITIONS)
    number = 0
    while any(at[one] < len(parts[one]) for one in PARTITIONS):
        size = sizes[number % len(sizes)]
        taken = {}
        for one in PARTITIONS:
            if (number + one) % 4 or size > 100:
                stop = min(at[one] + size, len(parts[one]))
                if stop > at[one]:
                    taken[one] = (at[one], stop)
                at[one] = stop
        number += 1
        if taken:
            yield taken


def joined(taken):
    """The beats of a batch, and which of them can be scored."""
    parts, scorable = stream()
    names, samples, offset, time_ms, partition, usable = [], [], [], [], [], []
    for one, (start, stop) in taken.items():
        some = slice(start, stop)
        names += parts[one].source[some].tolist()
        samples.append(parts[one].samples[some])
        offset.append(parts[one].offset[some])
        time_ms.append(parts[one].time[some])
        partition.append(parts[one].partition[some])
        usable.append(scorable[one][some])
    offsets, times, owner = (np.concatenate(column) for column in (offset, time_ms, partition))
    return beats_of(names, offsets, times, np.concatenate(samples), owner), np.concatenate(usable)


def restart(monitor, sizes):
    """Kill, and read again what the rows do not have."""
    monitor.start()
    parts, _ = stream()
    for one, (offset, read_from) in monitor.offsets.items():
        start, stop = np.searchsorted(parts[one].offset, [read_from, offset]).tolist()
        number = 0
        while start < stop:
            end = min(start + sizes[number % len(sizes)], stop)
            monitor.observe(*joined({one: (start, end)}))
            start, number = end, number + 1


def played(sizes, kills=(), resets=()):
    """What a monitor says of all beats, and its states at the end."""
    monitor = Monitor(PARTITIONS)
    for number, taken in enumerate(batches(sizes)):
        if number in kills:
            restart(monitor, sizes[::-1])
        for name in [name for name, when in resets if when == number]:
            monitor.reset(name, number + 1)
            if number + 1000 in kills:  # killed before anything of it is written
                restart(monitor, sizes)
        monitor.step(*joined(taken))
    return monitor.scores, monitor.state(), len(monitor.rows)


@cache
def undisturbed():
    return played([BATCH])


def test_the_stream_makes_monitors_write_rows_and_learn():
    scores, states, rows = undisturbed()
    assert rows == len(states) == 12
    assert sum(score != np.float32(np.nan).tobytes() for score, _ in scores.values()) > 1000


@settings(max_examples=6, deadline=None)
@given(
    sizes=st.lists(st.integers(30, 700), min_size=1, max_size=4),
    kills=st.sets(st.integers(1, 20), max_size=5),
    resets=st.lists(
        st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 20)), max_size=3, unique_by=lambda one: one[1]
    ),
    early=st.booleans(),
)
def test_kills_change_nothing(sizes, kills, resets, early):
    early_kills = {1000 + when for _, when in resets} if early else set()
    assert played(sizes, kills | early_kills, resets)[:2] == played(sizes, (), resets)[:2]


@settings(max_examples=3, deadline=None)
@given(sizes=st.lists(st.integers(30, 700), min_size=1, max_size=4), kills=st.sets(st.integers(1, 20), max_size=3))
def test_batches_change_nothing(sizes, kills):
    assert played(sizes, kills)[:2] == undisturbed()[:2]
