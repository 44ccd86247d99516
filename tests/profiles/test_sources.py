"""The profiles of all sources: bounds, wild clocks, resets, forgetting, and rows that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.profiles.columns import NONE
from monitor.profiles.exchange import Places, StoredRows
from monitor.profiles.sources import SourceProfiles
from monitor.records.stream_time import StreamTime
from tests.profiles.beats_of_sources import normal, source
from tests.profiles.partitions import DAY_MS, beats_of, observe

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000


def assigned(**rows):
    """Profiles of partition 0, with these stored rows, and what came of those."""
    profiles = SourceProfiles(120.0, DAY_MS)
    offset = 192 if rows else 0
    stored = StoredRows({name.encode(): row for name, row in rows.items()}, offset, offset, StreamTime.at(START_MS))
    return profiles, profiles.assign(0, stored)


def learned(profiles, name=b"a", first=0, beats=192):
    """Let a source of partition 0 learn; returns the offset of its next beat."""
    samples, time_ms = source("N" * beats)
    observe(profiles, beats_of([name] * beats, first + np.arange(beats), START_MS + time_ms, samples))
    return first + beats


def state(profiles, name=b"a"):
    return profiles.summary(profiles.row(0, name))


def one(profiles, offset, time_ms, name=b"a"):
    return observe(profiles, beats_of([name], [offset], [time_ms], normal()[None]))


def after(profiles, end, hours=0.0):
    """What is to be written at this end of partition 0, so many hours of stream time after the start."""
    return profiles.changes({0: end}, {0: StreamTime.at(START_MS + int(hours * HOUR_MS))})


def stored(profiles, end=192):
    """The row of a source, once it is written."""
    written = after(profiles, end + 2000).written
    assert [place[:2] for place in written] == [(0, b"a")]
    return written[0][2]


def test_a_source_gets_a_row_with_its_first_beat_that_can_be_scored():
    profiles, _ = assigned()
    beats = beats_of([b"a", b"b"], [0, 1], [START_MS, START_MS], np.stack([normal(), normal()]))
    found = profiles.observe(beats, np.array([False, True]), np.full(2, np.nan, np.float32))
    assert (found.row[0], found.row[1] >= 0, profiles.row(0, b"a")) == (NONE, True, NONE)


def test_a_row_is_written_before_its_oldest_beat_is_far_behind_and_read_from_follows():
    profiles, _ = assigned()
    end = learned(profiles)
    early = after(profiles, end)
    assert (early.written, early.read_from) == ((), {0: 0})
    late = after(profiles, 1024)
    assert ([place[:2] for place in late.written], late.read_from) == ([(0, b"a")], {0: 1024})
    assert after(profiles, 1025).written == ()


def test_beats_that_the_stored_row_has_are_known_and_change_nothing():
    profiles, _ = assigned()
    learned(profiles)
    row = stored(profiles)
    again, restored = assigned(a=row)
    assert (restored.count, restored.faults) == (1, {})
    samples, time_ms = source("N" * 193)
    found = observe(again, beats_of([b"a"] * 193, np.arange(193), START_MS + time_ms, samples))
    assert found.is_known.tolist() == [True] * 192 + [False]
    assert np.isfinite(found.scored.score).tolist() == [False] * 192 + [True]


def test_a_row_from_beyond_the_offset_is_outdated_and_deleted():
    profiles, _ = assigned()
    learned(profiles)
    again = SourceProfiles(120.0, DAY_MS)
    restored = again.assign(0, StoredRows({b"a": stored(profiles)}, 100, 50))
    assert (restored.count, restored.outdated) == (0, 1)
    assert again.changes({0: 100}, {}).deleted == ((0, b"a"),)


def test_rows_that_cannot_be_used_are_said_and_their_sources_learn_anew():
    profiles = SourceProfiles(120.0, DAY_MS)
    rows = {b"a": b"bad", b"\xff": b"", b"": b"", b"x" * 257: b""}
    restored = profiles.assign(0, StoredRows(rows, 0, 0))
    assert restored.count == 0
    assert sorted(restored.faults) == sorted([b"a", b"\xff", b"", b"x" * 256])
    assert all(" " in fault for fault in restored.faults.values())
    learned(profiles)
    assert state(profiles).is_learned


WILD = [-1, -(2**63), 2**63 - 1, 253_402_300_800_000]


@pytest.mark.parametrize("time_ms", WILD)
def test_a_wild_time_gives_no_rr_and_hurts_nobody(time_ms):
    profiles, _ = assigned()
    end = learned(profiles)
    before = state(profiles).last_ms
    found = one(profiles, end, time_ms)
    assert np.isnan(found.rr_seconds).all()
    assert np.isfinite(found.scored.score).all()
    assert np.isnan(one(profiles, end + 1, before + 1600).rr_seconds).all()
    assert one(profiles, end + 2, before + 2400).rr_seconds == pytest.approx([0.8])
    assert (state(profiles).is_learned, state(profiles).beats) == (True, 195)


@pytest.mark.parametrize("time_ms", WILD)
def test_a_source_without_times_never_learns(time_ms):
    profiles, _ = assigned()
    samples, _ = source("N" * 300)
    observe(profiles, beats_of([b"a"] * 300, np.arange(300), np.full(300, time_ms), samples))
    assert (state(profiles).is_learned, state(profiles).learned_seconds) == (False, 0)


def test_a_source_that_comes_back_too_late_learns_anew():
    profiles, _ = assigned()
    end = learned(profiles)
    last = state(profiles).last_ms
    assert np.isfinite(one(profiles, end, last + DAY_MS).scored.score).all()
    assert np.isfinite(one(profiles, end + 1, last + 2 * DAY_MS + 1).scored.score).all()
    assert np.isnan(one(profiles, end + 2, last + 2 * DAY_MS + 801).scored.score).all()
    assert (state(profiles).is_learned, state(profiles).beats) == (False, 1)


@pytest.mark.parametrize("is_restored", [False, True])
@pytest.mark.parametrize("days", [1.001, 30, 3000])
def test_one_time_that_is_days_ahead_costs_a_source_two_rr_and_not_its_profile(days, is_restored):
    profiles, _ = assigned()
    end = learned(profiles)
    before = state(profiles).last_ms
    assert np.isnan(one(profiles, end, before + round(days * DAY_MS)).rr_seconds).all()
    if is_restored:
        row = stored(profiles)
        profiles = SourceProfiles(120.0, DAY_MS)
        profiles.assign(0, StoredRows({b"a": row}, end + 1, end + 1, StreamTime.at(before)))
    assert np.isnan(one(profiles, end + 1, before + 1600).rr_seconds).all()
    assert one(profiles, end + 2, before + 2400).rr_seconds == pytest.approx([0.8])
    assert (state(profiles).is_learned, state(profiles).beats) == (True, 195)


def test_a_source_that_comes_back_too_late_within_a_batch_is_two_rows():
    profiles, _ = assigned()
    samples, time_ms = source("N" * 200)
    time_ms[195:] += DAY_MS + HOUR_MS
    time_ms[198:] += DAY_MS + HOUR_MS
    found = observe(profiles, beats_of([b"a"] * 200, np.arange(200), START_MS + time_ms, samples))
    assert len(set(found.row.tolist())) == 3
    assert np.isfinite(found.scored.score[190:]).tolist() == [True] * 6 + [False] * 4
    after(profiles, 200)
    assert (state(profiles).beats, profiles.counts.learning, profiles.counts.learned) == (1, 1, 0)


def test_a_source_that_is_not_heard_any_more_is_dropped_and_its_row_deleted():
    profiles, _ = assigned()
    learned(profiles)
    stored(profiles)
    assert after(profiles, 3000, hours=24.9).deleted == ()
    assert after(profiles, 3001, hours=25.4).deleted == ((0, b"a"),)
    assert (profiles.row(0, b"a"), profiles.counts.learned) == (NONE, 0)
    assert after(profiles, 3002, hours=26).deleted == ()


def test_a_restored_source_is_dropped_as_if_there_had_been_no_restore():
    profiles, _ = assigned()
    learned(profiles)
    row = stored(profiles)
    again = SourceProfiles(120.0, DAY_MS)
    again.assign(0, StoredRows({b"a": row}, 3000, 3000, StreamTime.at(START_MS + 23 * HOUR_MS)))
    assert again.changes({0: 3001}, {0: StreamTime.at(START_MS + 24 * HOUR_MS)}).deleted == ()
    assert again.changes({0: 3002}, {0: StreamTime.at(START_MS + 26 * HOUR_MS)}).deleted == ((0, b"a"),)


def test_a_reset_lets_a_source_learn_anew_once_for_each_version():
    profiles, _ = assigned()
    end = learned(profiles)
    profiles.reset(b"a", 7)
    profiles.reset(b"unheard", 7)
    assert (state(profiles).is_learned, state(profiles).reset) == (False, 7)
    (written,) = after(profiles, end).written
    end = learned(profiles, first=end)
    profiles.reset(b"a", 7)
    profiles.reset(b"a", 6)
    assert state(profiles).is_learned
    again, _ = assigned(a=written[2])
    again.reset(b"a", 7)
    assert after(again, end).written == ()


def test_a_reset_that_is_read_before_its_partition_is_assigned_is_not_lost():
    profiles, _ = assigned()
    learned(profiles)
    row = stored(profiles)
    again = SourceProfiles(120.0, DAY_MS)
    again.reset(b"a", 7)
    again.assign(0, StoredRows({b"a": row}, 500, 0))
    assert (state(again).is_learned, state(again).offset, state(again).reset) == (False, 499, 7)


def test_carries_are_stored_with_the_profile():
    profiles, _ = assigned()
    learned(profiles)
    row = np.array([profiles.row(0, b"a")])
    carry = profiles.carry(row)
    assert carry["scores"].tolist() == [[-10, -10]]
    carry["scores"], carry["weak"], carry["run"], carry["rr_ms"] = (1.5, 2.5), 3, 4, (800, 810)
    profiles.set_carry(row, carry)
    again, _ = assigned(a=stored(profiles))
    assert again.carry(np.array([again.row(0, b"a")])) == carry


def invented(profiles, count, first, time_ms):
    """A beat each of so many sources that are never heard again."""
    names = [b"invented-%d" % (first + number) for number in range(count)]
    samples = np.tile(normal(), (count, 1))
    return observe(profiles, beats_of(names, first + np.arange(count), np.full(count, time_ms), samples))


def test_invented_keys_take_no_more_than_the_places_and_only_for_a_minute():
    profiles = SourceProfiles(120.0, DAY_MS, Places(learning=10, all=20))
    profiles.assign(0, StoredRows({}, 0, 0, StreamTime.at(START_MS)))
    assert np.count_nonzero(invented(profiles, 50, 0, START_MS).row != NONE) == 10
    assert one(profiles, 50, START_MS).row.tolist() == [NONE]
    after(profiles, 51, hours=61 / 3600)
    assert one(profiles, 51, START_MS + 61_000).row[0] != NONE
    assert profiles.counts.learning == 10


def test_a_source_that_is_heard_keeps_its_place_and_learns_while_keys_are_invented():
    profiles = SourceProfiles(120.0, DAY_MS, Places(learning=10, all=20))
    profiles.assign(0, StoredRows({}, 0, 0, StreamTime.at(START_MS)))
    samples, time_ms = source("N" * 192)
    for number in range(192):
        offset = 30 * number
        observe(profiles, beats_of([b"a"], [offset], START_MS + time_ms[number : number + 1], samples[[number]]))
        invented(profiles, 29, offset + 1, START_MS + time_ms[number])
        profiles.changes({0: offset + 30}, {0: StreamTime.at(START_MS + int(time_ms[number]))})
        assert profiles.counts.learning <= 10
    assert state(profiles).is_learned


def test_silent_profiles_make_room_when_all_places_are_taken():
    profiles = SourceProfiles(120.0, DAY_MS, Places(learning=1, all=1))
    profiles.assign(0, StoredRows({}, 0, 0, StreamTime.at(START_MS)))
    end = learned(profiles)
    stored(profiles)
    after(profiles, 4000, hours=0.5)
    assert one(profiles, end, START_MS, b"b").row.tolist() == [NONE]
    after(profiles, 4001, hours=1.2)
    assert one(profiles, end + 1, START_MS, b"b").row[0] != NONE
    assert after(profiles, 4002, hours=1.2).deleted == ((0, b"a"),)


def test_rows_that_find_no_place_are_said_and_deleted_and_profiles_come_first():
    profiles, _ = assigned()
    learned(profiles)
    known = stored(profiles)
    other, _ = assigned()
    learned(other, beats=60)
    learning = stored(other)
    again = SourceProfiles(120.0, DAY_MS, Places(learning=1, all=2))
    restored = again.assign(0, StoredRows({b"b": learning, b"c": learning, b"a": known}, 192, 0))
    assert (restored.count, list(restored.faults)) == (2, [b"c"])
    assert again.changes({0: 192}, {}).deleted == ((0, b"c"),)


def test_a_revoked_partition_leaves_nothing_behind():
    profiles, _ = assigned()
    learned(profiles)
    profiles.reset(b"a", 3)
    profiles.revoke(0)
    assert (profiles.counts.learning, profiles.counts.learned) == (0, 0)
    assert profiles.changes({}, {}).written == ()


def test_rows_that_follow_the_offsets_count_one_step_later():
    profiles, _ = assigned()
    learned(profiles)
    at = StreamTime.at(START_MS)
    late = profiles.changes({0: 1024}, {0: at}, rows_follow=True)
    assert ([place[:2] for place in late.written], late.read_from) == ([(0, b"a")], {0: 0})
    assert profiles.changes({0: 1025}, {0: at}, rows_follow=True).read_from == {0: 1025}


def test_a_reset_may_take_the_place_of_another_source_that_is_reset_too():
    profiles, _ = assigned()
    learned(profiles)
    known = stored(profiles)
    other, _ = assigned()
    learned(other, beats=60)
    again = SourceProfiles(120.0, DAY_MS, Places(learning=1, all=2))
    for name in (b"a", b"b"):
        again.reset(name, 7)
    again.assign(0, StoredRows({b"a": known, b"b": stored(other)}, 192, 0, StreamTime.at(START_MS + HOUR_MS)))
    assert (again.row(0, b"a") != NONE, again.row(0, b"b"), state(again).is_learned) == (True, NONE, False)


def test_a_restored_source_with_a_clock_that_is_days_behind_has_time_to_be_heard():
    profiles, _ = assigned()
    learned(profiles)
    row, now = stored(profiles), StreamTime.at(START_MS + 3 * DAY_MS)
    again = SourceProfiles(120.0, DAY_MS)
    again.assign(0, StoredRows({b"a": row}, 3000, 3000, now))
    assert again.changes({0: 3001}, {0: now}).deleted == ()
    one(again, 3001, START_MS + 200_000)
    later = StreamTime.at(START_MS + 3 * DAY_MS + HOUR_MS)
    assert again.changes({0: 3002}, {0: later}).deleted == ()
    assert state(again).is_learned


@pytest.mark.parametrize("places", [5, 14, 21])
def test_a_source_without_a_place_waits_however_the_tables_have_grown(places):
    profiles = SourceProfiles(120.0, DAY_MS, Places(learning=places, all=places))
    profiles.assign(0, StoredRows({}, 0, 0, StreamTime.at(START_MS)))
    rows = [one(profiles, number, START_MS + number, b"bed %d" % number).row[0] for number in range(places + 1)]
    assert (rows.count(NONE), rows[-1], profiles.counts.learning) == (1, NONE, places)
