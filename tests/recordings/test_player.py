"""`play`, `Timetable` and `start_times`: several leads in the order of time, and the times that they get."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.beats.window import R_TO_R
from monitor.errors import RecordingError
from monitor.recordings.player import AUTOMATIC, Bed, StartChoice, Timetable, play, start_times
from tests.recordings.leads import recording

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
MAX = math.inf


def local(time_ms):
    """A time as a recorder's clock says it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone().replace(tzinfo=None)


def test_beats_of_several_beds_come_in_the_order_of_their_times():
    (slow, slow_peaks), (fast, fast_peaks) = recording(rate=50), recording(rate=110)
    beats = list(play([Bed("bed-1", slow, NOW_MS), Bed("bed-2", fast, NOW_MS + 5000)]))
    times = [beat.time_ms for beat in beats]
    assert times == sorted(times)
    assert [sum(beat.bed.source == name for beat in beats) for name in ("bed-1", "bed-2")] == [
        len(slow_peaks),
        len(fast_peaks),
    ]


def test_the_time_of_a_beat_is_that_of_its_r_peak():
    whole, peaks = recording()
    times = [beat.time_ms for beat in play([Bed("bed-1", whole, NOW_MS)])]
    assert times == pytest.approx([NOW_MS + 1000 * peak for peak in peaks], abs=20)


def test_beats_have_the_symbols_of_their_annotations():
    symbols = "NNVNNNANN" * 10
    whole, peaks = recording(symbols=symbols)
    assert "".join(beat.symbol for beat in play([Bed("bed-1", whole, 0)])) == symbols[: len(peaks)]


def test_what_cannot_be_cut_is_refused_before_the_first_beat():
    whole, _ = recording()
    with pytest.raises(RecordingError, match=r"100\.edf: lead 'II' has 50 samples a second"):
        play([Bed("bed-1", whole, 0), Bed("bed-2", replace(whole, hz=50.0), 0)])
    with pytest.raises(RecordingError, match="around R"):
        play([Bed("bed-1", whole, 0)], R_TO_R)


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 20.0), (10.0, 2.0), (0.5, 40.0), (MAX, 0.0)])
def test_a_beat_is_due_at_its_time_divided_by_the_speed(speed, seconds):
    assert Timetable(1000, 61_000, speed).due_seconds(21_000) == seconds


@pytest.mark.parametrize("speed", [0.5, 1.0, 10.0, MAX])
def test_now_is_a_start_with_which_no_beat_is_ahead_of_the_clock(speed):
    recordings = [recording(seconds)[0] for seconds in (10.0, 30.0)]
    starts = start_times(recordings, StartChoice("now"), speed, NOW_MS, None)
    assert len(set(starts)) == 1
    beds = [Bed(str(start), one, start) for one, start in zip(recordings, starts, strict=True)]
    assert Timetable.of(beds, speed).ahead_ms(NOW_MS) <= 1
    assert starts[0] == {0.5: NOW_MS, 1.0: NOW_MS, 10.0: NOW_MS - 27_000, MAX: NOW_MS - 30_000}[speed]


@pytest.mark.parametrize(
    ("own_ms", "kept_ms", "start_ms"),
    [
        (NOW_MS - HOUR_MS, 2 * HOUR_MS, NOW_MS - HOUR_MS),
        (NOW_MS - HOUR_MS, None, NOW_MS - HOUR_MS),
        (NOW_MS - 3 * HOUR_MS, 2 * HOUR_MS, NOW_MS - 30_000),
        (NOW_MS - 10_000, None, NOW_MS - 30_000),
        (None, None, NOW_MS - 30_000),
    ],
)
def test_a_recording_keeps_its_own_time_where_kafka_keeps_records_of_it(own_ms, kept_ms, start_ms):
    whole, _ = recording(start=None if own_ms is None else local(own_ms))
    assert start_times([whole], AUTOMATIC, MAX, NOW_MS, kept_ms) == [start_ms]


def test_recordings_of_which_one_has_no_time_of_its_own_begin_together():
    recordings = [recording(start=local(NOW_MS - HOUR_MS))[0], recording()[0]]
    assert start_times(recordings, AUTOMATIC, MAX, NOW_MS, None) == [NOW_MS - 30_000] * 2
    assert start_times(recordings, StartChoice("time", 7), MAX, NOW_MS, None) == [7, 7]
    with pytest.raises(RecordingError, match="does not say when it began"):
        start_times(recordings, StartChoice("recording"), MAX, NOW_MS, None)


def test_a_time_before_the_epoch_is_none():
    ancient = local(0) - timedelta(days=800)
    assert start_times([recording(start=ancient)[0]], AUTOMATIC, MAX, NOW_MS, None) == [NOW_MS - 30_000]


@pytest.mark.parametrize(("speed", "ahead_ms"), [(1.0, 5000), (2.0, 35_000), (MAX, 65_000), (0.5, 5000)])
def test_how_far_ahead_of_the_clock_times_get_depends_on_the_speed(speed, ahead_ms):
    assert Timetable(NOW_MS + 5000, NOW_MS + 65_000, speed).ahead_ms(NOW_MS) == ahead_ms
