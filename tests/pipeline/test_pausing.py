"""Pauses through the loop: what is held back, and what is announced when they end, also after kills and replays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from tests.pipeline.test_latching import ENDS, PAUSES, now
from tests.pipeline.ward import BED, Ward


def told(ward):
    return [(one["event"], one["presence"], one["priority"], one["offset"]) for one in ward.alerts()]


def test_an_alarm_that_opens_in_a_pause_is_announced_at_the_first_beat_after_it():
    ward = Ward().pause(10).beats("L" * 8).turn().kill().beats("L").turn()
    assert told(ward) == []
    assert now(ward) == [("on", "low", 0)]
    ward.beats("LLL").turn()
    assert told(ward) == [("opened", "on", "low", 10)]
    (opened,) = ward.alerts()
    assert [opened[name] for name in ("activation", "reopened", "opened_at", "beat_time", "score")] == [
        *("on", False, "2023-11-14T22:13:20.000Z", "2023-11-14T22:13:30.000Z", None)
    ]
    assert ward.kill().beats(ENDS).turn().presences()[-1] == ("closed", "off", "low")


def test_nobody_hears_of_what_opens_and_ends_in_a_pause_and_it_does_not_latch():
    ward = Ward().pause(60).beats("H" + ENDS + "H" + ENDS + "N" * 60).turn()
    assert (told(ward), ward.cluster.state(0)) == ([], {})


@pytest.mark.parametrize("again", ["L", "H"])
def test_what_was_told_as_off_and_opens_and_ends_in_a_pause_stays_off_without_a_word(again):
    ward = Ward().beats("L" + ENDS).turn().pause(60).beats(again + ENDS).turn()
    assert ward.presences() == [("opened", "on", "low"), ("closed", "off", "low")]
    assert now(ward.kill().turn()) == []


def test_what_opens_again_after_such_a_pause_is_new_to_all():
    ward = Ward().pause(6).beats("L" + ENDS).turn().kill().beats("L").turn()
    assert told(ward) == [("opened", "on", "low", 6)]
    assert not ward.alerts()[0]["reopened"]


def test_a_rise_in_a_pause_is_told_when_it_ends_and_takes_the_acknowledgement_back():
    ward = Ward().beats("L").turn().acknowledge(0).turn().pause(10).beats("H" * 8).turn()
    assert ward.told() == [("opened", None), ("acknowledged", "nurse")]
    ward.beats("H" * 5).turn()
    assert told(ward)[2:] == [("updated", "on", "high", 11)]
    assert ward.told()[-1] == ("updated", None)


def test_the_end_of_an_alarm_that_was_announced_goes_out_also_in_a_pause():
    ward = Ward().beats("L").turn().pause(30).beats(ENDS).turn()
    closed = ward.alerts()[-1]
    assert [closed[name] for name in ("event", "activation", "paused_until")] == [
        *("closed", "paused", "2023-11-14T22:13:51.000Z")
    ]


def test_a_latched_alarm_that_opens_and_ends_in_a_pause_stays_latched_without_a_word():
    ward = Ward().beats("H" + ENDS).turn().pause(30).beats("L" + ENDS).turn()
    assert [one[:2] for one in told(ward)] == [("opened", "on"), ("updated", "latched")]
    assert now(ward.kill().turn()) == [("latched", "high", 0)]


def test_an_acknowledgement_of_what_was_announced_goes_out_in_a_pause_and_of_what_was_not_at_its_end():
    seen = Ward().beats("L").turn().pause(30).beats("L").turn().acknowledge(0).turn()
    assert seen.told() == [("opened", None), ("acknowledged", "nurse")]
    assert seen.alerts()[-1]["activation"] == "on"  # by the time of the command
    ward = Ward().pause(5).beats("L").turn().acknowledge(0).turn()
    assert ward.told() == []
    assert ward.beats("L" * 5).turn().told() == [("opened", "nurse")]


@pytest.mark.parametrize("source", ["bed 7", "*"])
def test_what_is_on_is_announced_without_a_beat_when_somebody_resumes(source):
    ward = Ward().pause(None, source=source).beats("HH").turn()
    assert told(ward) == []
    ward.resume(source=source).turn()
    assert told(ward) == [("opened", "on", "high", 1)]
    assert ward.kill().turn().resume(source=source).turn().told() == [("opened", None)]


def test_a_pause_of_all_is_not_ended_by_resuming_one_source_and_a_pause_of_another_source_holds_nothing_back():
    ward = Ward().pause(30, source="*").resume().beats("L").turn()
    assert told(ward) == []
    assert told(Ward().pause(30, source="bed 8").beats("L").turn()) == [("opened", "on", "low", 0)]


def test_beats_from_before_a_pause_are_not_in_it():
    assert told(Ward().pause(30, since=5).beats("L").turn()) == [("opened", "on", "low", 0)]


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_a_pause_that_begins_and_ends_within_a_step_announces_what_opened_in_it_and_is_on_after_it(batch_size):
    ward = Ward(batch_size=batch_size).pause(4).beats("L" * 6 + ENDS + "N" * 30).turn(60)
    assert told(ward) == [("opened", "on", "low", 4), ("closed", "off", "low", 10)]


def test_nobody_is_reminded_in_a_pause():
    ward = Ward(remind_seconds=5).beats("L").turn().acknowledge(0).turn().pause(20).beats("L" * 15).turn()
    assert dict(ward.told()).keys() == {"opened", "acknowledged"}
    assert told(ward.beats("L" * 10).turn())[2:] == [("reminded", "on", "low", 21)]


def test_the_row_of_a_source_whose_alarm_is_held_back_says_what():
    ward = Ward().pause(30).beats("L").turn()
    assert b'"held":"opened","held_at":1700000000000' in ward.cluster.state(0)[BED]


TURNS = st.sampled_from(
    ["acknowledge", "pause", "pause all", "off", "resume", *("V", "VVV", "N", ENDS, "H", "L", "RRRRRR", "N" * 30)]
)


def facts(turns, batch_size):
    """What is told of an alarm, with steps of so many records."""
    ward = Ward(remind_seconds=8, batch_size=batch_size)
    for turn in turns:
        if turn == "acknowledge":
            ward.acknowledge(int(([{"id": ":0"}, *ward.alerts()])[-1]["id"].rsplit(":", 1)[1]))
        elif turn in PAUSES:
            PAUSES[turn](ward)
        else:
            ward.beats(turn)
        ward.turn(2 + len(turn) // batch_size)
    names = (
        "id",
        "event",
        "offset",
        "presence",
        "priority",
        "reopened",
        "left_out",
        "acknowledged",
        "activation",
        "beat_time",
    )
    return [[one[name] for name in names] for one in ward.turn(4).alerts()]


@profile(max_examples=60, deadline=None)
@given(turns=st.lists(TURNS, max_size=15))
def test_what_goes_out_does_not_depend_on_how_beats_are_cut_into_steps(turns):
    assert facts(turns, 1) == facts(turns, 4) == facts(turns, 1000)
