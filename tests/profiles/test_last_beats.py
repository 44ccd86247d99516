"""The last beats of sources, by rows. What is decided by them is tested in `tests/alarms/test_no_signal.py`."""

from __future__ import annotations

import numpy as np

from monitor.profiles import Profiles
from monitor.profiles.exchange import StoredRows
from monitor.profiles.last_beats import NOT_WATCHED, LastBeats
from monitor.profiles.sources import SourceProfiles
from monitor.records.stream_time import StreamTime
from tests.profiles.beats_of_sources import played

FIRST, SECOND = np.array([0]), np.array([1])


def heard(offset, now=5000):
    last = LastBeats()
    last.grow(2)
    last.restore(FIRST, np.array([offset]), np.array([800]), None if now is None else StreamTime(now))
    return last


def numbers(last, row):
    return last.stream_time[row], last.offset[row], last.time[row]


def test_a_restored_source_counts_as_heard_at_the_stream_time_of_the_restore():
    assert numbers(heard(7), 0) == (5000, 7, 800)
    assert numbers(heard(7, now=None), 0) == (NOT_WATCHED, 7, 800)


def test_a_source_that_gets_another_row_keeps_its_last_beat_and_who_gets_a_row_has_none():
    last = heard(7)
    last.hand_over(FIRST, SECOND)
    last.begin(FIRST)
    assert (numbers(last, 1), numbers(last, 0)) == ((5000, 7, 800), (NOT_WATCHED, -1, -1))


def test_of_several_beats_the_last_one_counts():
    last = heard(7)
    last.note(np.array([0, 1, 0]), np.array([8, 9, 10]), np.array([1, 2, 3]))
    assert [numbers(last, row)[1:] for row in (0, 1)] == [(10, 3), (9, 2)]


def test_a_row_that_was_stored_has_the_last_beat_of_its_source():
    profiles = Profiles(120.0)
    row, _ = played(profiles, "N" * 50)
    profiles.sources["offset"][row] = 49
    sources = SourceProfiles(120.0, 86_400_000)
    stored = profiles.encode(np.array([row]))[0]
    sources.assign(0, StoredRows({b"bed 7": stored}, 100, 100, StreamTime(5000)))
    last = numbers(sources.watched.last, sources.row(0, b"bed 7"))
    assert last == (5000, 49, profiles.summary(row).last_ms)
