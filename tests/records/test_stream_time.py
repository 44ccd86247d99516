"""What moves the stream time of a partition, and what does not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.records.stream_time import MAX_TIME_MS, STRAYS, Pace, StreamTime, advance

PACE = Pace.of_silence(60_000)
START = 1_764_000_000_000


def moved(rows, before=None):
    """The stream time after the rows, (source, time) each, and its movement in ms at each."""
    source, time = zip(*rows, strict=True)
    found = advance(before, PACE, np.array(source, object), np.array(time, np.int64))
    return found, (found.column - found.column[0]).tolist()


def ward(beats, *, sources=4, first=START):
    """Beats of sources in turn, 200 ms apart."""
    return [(b"bed-%d" % (beat % sources), first + 200 * beat) for beat in range(beats)]


def test_stream_time_follows_the_beats_of_several_sources():
    assert moved(ward(2000))[1] == [200 * beat for beat in range(2000)]


def test_a_source_that_is_alone_moves_it_at_its_own_pace():
    rows = [(b"gone", START)] + [(b"bed", START + 800 * beat) for beat in range(100)]
    assert moved(rows)[1][-1] == 99 * 800


@pytest.mark.parametrize("ahead", [61_000, 119_000, 3_600_000, 10**12, 2**62, 2**63 - 1])
def test_one_record_moves_it_by_a_step_whatever_its_time(ahead):
    rows = ward(100)
    rows.insert(50, (b"wild", min(START + ahead, 2**63 - 1)))
    found, _ = moved(rows)
    assert np.diff(found.column).max() <= PACE.step_ms
    assert found.after.now - START <= 99 * 200 + PACE.step_ms


@pytest.mark.parametrize("first", [-1, 0, 2**62, 2**63 - 1, START + 10**10])
def test_a_first_record_with_a_wrong_time_is_forgotten(first):
    _, movement = moved([(b"wild", first), *ward(1000)])
    assert movement[-1] >= (999 - 2 * STRAYS) * 200


def test_a_record_without_a_time_moves_nothing():
    rows = ward(100)
    rows.insert(50, (b"bed-1", -1))
    assert moved(rows)[1][-1] == 99 * 200
    assert moved([(b"bed", -1)] * 3)[0].after.now == 0


def test_a_pause_of_the_whole_stream_is_skipped():
    rows = [*ward(100), *ward(1000, first=START + 10**9)]
    found, movement = moved(rows)
    assert 100 * 200 + (1000 - 2 * STRAYS) * 200 < movement[-1] < 1200 * 200
    assert found.after.now + found.after.skipped == START + 10**9 + 999 * 200


def test_records_that_are_far_ahead_are_counted():
    rows = ward(2000)
    rows[100::10] = [(b"wild", START + 10**9 + 2000 * number) for number in range(190)]
    found, _ = moved(rows)
    assert found.far_ahead == 190
    assert moved(rows[:1000])[0].far_ahead == 90


def test_a_source_that_is_alone_for_long_is_not_counted_as_far_ahead():
    rows = [(b"gone", START)] + [(b"bed", START + 800 * beat) for beat in range(3000)]
    assert moved(rows)[0].far_ahead == 0


def test_beats_of_minutes_in_one_batch_move_it_as_they_do_one_after_the_other():
    rows = ward(1500)
    rows[700:720] = [(b"wild", START + 10**9 * (number % 3)) for number in range(20)]
    after, column = None, []
    for row in rows:
        one, _ = moved([row], after)
        after = one.after
        column.append(int(one.column[0]))
    whole, _ = moved(rows)
    assert (whole.after, whole.column.tolist()) == (after, column)


def wrong_rows(rows):
    return np.flatnonzero(moved(rows)[0].wrong).tolist()


def test_a_clock_that_is_ahead_of_sources_that_go_on_is_surely_wrong_at_each_beat():
    rows = ward(400)
    rows[100::10] = [(b"wild", START + 10**9 + 2000 * number) for number in range(30)]
    assert wrong_rows(rows) == [*range(100, 400, 10)]


@pytest.mark.parametrize("beds", [1, 2, 5])
def test_after_a_pause_of_the_whole_stream_only_the_first_beat_has_a_wrong_clock(beds):
    rows = [(b"bed-%d" % (beat % beds), START + 200 * beat + 10**9 * (beat >= 100)) for beat in range(600)]
    assert wrong_rows(rows) == [100]


def test_a_time_after_the_year_9999_is_surely_wrong_and_none_at_all_is_not():
    rows = ward(50)
    rows[20:23] = [(b"wild", -1), (b"wild", 2**62), (b"wild", 2**62)]
    assert wrong_rows(rows) == [21, 22]


def test_the_text_form_gives_the_same_again():
    after = moved([*ward(50), (b"wild", START + 10**9)])[0].after
    assert StreamTime.parse(after.text()) == after
    assert StreamTime.parse(str(START)) == StreamTime.at(START)


@pytest.mark.parametrize("text", ["", "x", "1.5", "1,2", "1,2,3,4,5,6,7,8", "9" * 40, "1,,3,4,5,6,7", "1 ,2,3,4,5,6,7"])
def test_another_text_is_no_stream_time(text):
    assert StreamTime.parse(text) is None


times = st.one_of(
    st.integers(0, 3000),
    st.integers(-3000, 3000),
    st.sampled_from([0, 800, 61_000, -61_000, 119_000, 10**9, -(10**9), 2**62 - START, -1 - START]),
)
records = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), times, st.integers(1, 40)), min_size=1, max_size=30
)


def written(rows):
    """A stream with stretches of good beats between records with any time."""
    found, now = [], START
    for source, gap, beats in rows:
        found += [(b"bed-%d" % (beat % 3), now + 250 * beat) for beat in range(beats)]
        now += 250 * beats
        found.append((source, now + gap))
        if 0 <= gap <= 3000:
            now += gap
    return found


@given(records, st.data())
def test_it_depends_on_the_records_and_not_on_the_batches(rows, data):
    stream = written(rows)
    whole, _ = moved(stream)
    cuts = sorted({0, len(stream), *data.draw(st.sets(st.integers(1, len(stream)), max_size=8))})
    if data.draw(st.booleans()):
        cuts = range(len(stream) + 1)
    after, column, wrong, far_ahead = None, [], [], 0
    for start, end in itertools.pairwise(cuts):
        part, _ = moved(stream[start:end], StreamTime.parse(after.text()) if after else None)
        after, far_ahead = part.after, far_ahead + part.far_ahead
        column += part.column.tolist()
        wrong += part.wrong.tolist()
    assert (after, column, far_ahead) == (whole.after, whole.column.tolist(), whole.far_ahead)
    assert wrong == whole.wrong.tolist()


@given(records)
def test_it_never_goes_back_and_no_record_moves_it_by_more_than_a_step(rows):
    steps = np.diff(moved(written(rows))[0].column)
    assert steps.min(initial=0) >= 0
    assert steps.max(initial=0) <= PACE.step_ms


@given(st.lists(st.integers(0, MAX_TIME_MS), min_size=1, max_size=200))
def test_no_source_pushes_it_past_the_others_by_more_than_two_silences(wild):
    rows = [*ward(8), *((b"wild", time) for time in wild)]
    assert moved(rows)[0].after.now - START <= 7 * 200 + PACE.lead_ms
