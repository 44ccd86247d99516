"""A source that stops, through the loop with profiles: noticed once, by stream time, also after kills and replays."""

from __future__ import annotations

import random
from datetime import datetime

import pytest

from monitor.records.record import Message
from monitor.settings import Settings
from tests.pipeline.test_loop import FLAT
from tests.pipeline.test_profiles import LEARNING, SETTINGS, START_MS, Ward
from tests.pipeline.test_source_ends import end_of_bed_1

QUIET_WARD = LEARNING + "N" * 200


def told(ward, source="bed 1"):
    return [(one["event"], one["cause"]) for one in ward.alerts() if one["source"] == source]


OPENED, CLOSED = ("opened", "no-signal"), ("closed", "no-signal")
BED = b"bed 1"


def test_a_source_that_stops_raises_an_alarm_that_its_next_beat_closes():
    ward = Ward(QUIET_WARD, (BED, 200, 250)).judge_all()
    assert told(ward) == [OPENED, CLOSED]
    opened, closed = ward.alerts()
    assert 29 < seconds_between(opened["opened_at"], opened["beat_time"]) < 32
    assert 49 < seconds_between(opened["opened_at"], closed["beat_time"]) < 52
    assert opened["id"] == closed["id"] == f"technical:ecg.beats:0:{last_before(ward, 200)}"
    assert opened["samples"] is opened["score"] is None
    assert opened["priority"] == "medium"


def seconds_between(first, last):
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def last_before(ward, second):
    rows, end_ms = ward.cluster.rows("ecg.beats", 0), START_MS + 1000 * second
    return max(number for number, one in enumerate(rows) if one.message.key == BED and one.timestamp_ms < end_ms)


@pytest.mark.parametrize("seconds", [25, 29])
def test_a_shorter_silence_raises_none(seconds):
    assert told(Ward(QUIET_WARD, (BED, 200, 200 + seconds)).judge_all()) == []


def facts(ward):
    return [
        (one["id"], one["event"], one["cause"], one["offset"], one["beat_time"], one["opened_at"], one["beats"])
        for one in ward.alerts()
    ]


def troubles(seed):
    """Beats with runs and flat lines, and silences of all beds."""
    rng, kinds, silences = random.Random(seed), "N" * 170, []
    for _ in range(10):
        trouble = rng.choice(["V" * rng.randint(3, 9), "F" * rng.randint(3, 9), "VNVVNV"])
        kinds += "N" * rng.randint(5, 20) + trouble
    for bed in (BED, b"bed 2", b"bed 3"):
        second = 20.0
        while second < 0.7 * len(kinds):
            second += rng.uniform(10, 60)
            silences.append((bed, second, second + rng.uniform(11, 32)))
            second = silences[-1][2]
    return kinds, silences


@pytest.mark.parametrize("seed", range(4))
def test_it_does_not_matter_how_beats_are_cut_into_batches(seed):
    (kinds, silences), brief = troubles(seed), {"episode_silence_seconds": 10, "no_signal_seconds": 5}
    whole = sorted(facts(Ward(kinds, *silences, batch_size=4096, **brief).judge_all()), key=str)
    assert sum("no-signal" in one for one in whole) >= 4
    for records in (1, 50):
        pieces = Ward(kinds, *silences, batch_size=records, **brief).judge_all()
        assert sorted(facts(pieces), key=str) == whole


def test_a_kill_while_a_source_is_silent_changes_neither_the_name_of_the_alarm_nor_its_end():
    """After a start it counts as heard at the committed stream time: the alarm comes one limit later at most."""
    calm = Ward(QUIET_WARD, (BED, 200, 300)).judge_all()
    for second in (205, 215, 240, 295, 310):
        ward = Ward(QUIET_WARD, (BED, 200, 300))
        release = stop_at(ward, second)
        ward.start()
        release()
        ward.judge_all()
        assert told(ward) == [OPENED, CLOSED]
        assert [one["id"] for one in ward.alerts()] == [one["id"] for one in calm.alerts()]
        assert ward.alerts()[1]["beat_time"] == calm.alerts()[1]["beat_time"]


def stop_at(ward, second):
    """Judge up to this second; gives what lets the rest come."""
    hold = {}
    for partition in (0, 1):
        rows = ward.cluster.rows("ecg.beats", partition)
        first = next(number for number, one in enumerate(rows) if one.timestamp_ms >= START_MS + 1000 * second)
        hold[partition] = rows[first:]
        del rows[first:]
    ward.judge_all()

    def release():
        for partition, rows in hold.items():
            ward.cluster.rows("ecg.beats", partition).extend(rows)

    return release


def test_a_source_that_was_ended_is_missed_by_nobody():
    ward = Ward(QUIET_WARD, (BED, 200, 999))
    release = stop_at(ward, 210)
    end_of_bed_1(ward)
    release()
    ward.judge_all()
    assert told(ward) == []


def test_a_source_that_has_stopped_can_be_ended():
    ward = Ward(QUIET_WARD, (BED, 200, 999)).judge_all()
    assert told(ward) == [OPENED]
    assert told(end_of_bed_1(ward)) == [OPENED, ("closed", "ended")]


def test_nothing_is_missed_where_the_setting_says_so():
    ward = Ward(QUIET_WARD, (BED, 200, 300), no_signal_seconds=0).judge_all()
    assert told(ward) == []


def test_an_alarm_about_a_silence_that_another_setting_left_closes_as_silent():
    ward = Ward(QUIET_WARD, (BED, 200, 999))
    release = stop_at(ward, 260)
    assert told(ward) == [OPENED]
    release()
    ward.settings = Settings(**SETTINGS, no_signal_seconds=0)
    ward.start()
    ward.judge_all()
    assert told(ward) == [OPENED, ("closed", "silent")]


def test_what_does_not_come_back_is_forgotten_and_so_is_what_was_learned_of_it():
    ward = Ward(LEARNING + "N" * 20, (BED, 180, 999), forget_hours=1).judge_all()
    for minute in range(4, 4 + 75):
        for second in range(60):
            for bed in (b"bed 3", b"bed 4"):
                beat = Message("ecg.beats", bed, FLAT, partition=0)
                ward.cluster.publish(beat, START_MS + 60_000 * minute + 1000 * second)
    ward.judge_all()
    assert [one for one in told(ward) if one[0] != "updated"] == [OPENED, ("closed", "forgotten")]
    assert BED not in ward.cluster.profiles(0)
    assert BED not in ward.cluster.state(0)


def test_a_monitor_that_is_killed_again_and_again_misses_a_source_in_alarm_at_the_same_beat():
    kinds = LEARNING + "N" * 20 + "V" * 30 + "N" * 100
    calm = Ward(kinds, (BED, 185, 240)).judge_all()
    assert {("opened", "unusual-shape"), OPENED, CLOSED} <= set(told(calm))
    ward = Ward(kinds, (BED, 185, 240))
    for second in range(186, 240, 6):
        release = stop_at(ward, second)
        ward.start()
        release()
    assert sorted(facts(ward.judge_all()), key=str) == sorted(facts(calm), key=str)
