"""Alarms that latch, and reminders, through the loop: told once, also after kills and replays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from monitor.alarms.current import CurrentAlarms
from monitor.records.record import GROUP_HEADER, Assigned
from tests.fakes import records
from tests.pipeline.test_loop import NORMAL, Bench
from tests.pipeline.ward import BED, Ward

OPENED, LATCHED = ("opened", "on", "high"), ("updated", "latched", "high")
ENDS = "N" * 5


def now(ward):
    """What `ecg-monitor alarms` shows: presence, priority and the offset of the first beat."""
    current = CurrentAlarms("ward")
    for source, value in ward.cluster.state(0).items():
        current.take((0, source), value, ((GROUP_HEADER, b"ward"),), 0)
    current.settle()
    assert current.left_out() == ""
    return [(one.presence, one.priority, one.episode.opened_offset) for one in current]


def test_a_high_alarm_that_nobody_has_seen_stays_until_it_is_acknowledged():
    ward = Ward().beats("H" + ENDS).turn()
    assert ward.presences() == [OPENED, LATCHED]
    ward.beats("N" * 40).turn()
    assert now(ward) == [("latched", "high", 0)]
    ward.acknowledge(0).turn()
    closed = ward.alerts()[-1]
    assert [closed[name] for name in ("event", "presence", "beat_time", "closed_at")] == ["closed", "off", None, None]
    assert closed["acknowledged"]["by"] == "nurse"
    assert (now(ward), ward.cluster.state(0)) == ([], {})


def test_the_alert_that_an_alarm_latches_has_the_beat_that_ended_its_episode_and_no_end():
    latched = Ward().beats("H" + ENDS).turn().alerts()[-1]
    assert [latched[name] for name in ("offset", "closed_at", "acknowledged", "samples")] == [5, None, None, None]
    assert (latched["beat_time"], latched["beats"]) == ("2023-11-14T22:13:25.000Z", {"abnormal": 3, "seen": 8})


@pytest.mark.parametrize("kinds", ["VVV" + ENDS, "FFF" + ENDS, "L" + ENDS])
def test_other_alarms_are_over_with_their_episode(kinds):
    assert [one[:2] for one in Ward().beats(kinds).turn().presences()] == [("opened", "on"), ("closed", "off")]


def test_an_alarm_that_was_acknowledged_does_not_latch_and_none_does_without_the_setting():
    seen = Ward().beats("H").turn().acknowledge(0).turn().beats(ENDS).turn()
    assert seen.told() == [("opened", None), ("acknowledged", "nurse"), ("closed", "nurse")]
    assert Ward(latch_high=False).beats("H" + ENDS).turn().presences() == [OPENED, ("closed", "off", "high")]


def test_an_alarm_whose_source_falls_silent_latches_and_keeps_its_row():
    ward = Ward().beats("H").turn().beats("N" * 70, source=b"other").turn()
    assert ward.presences() == [OPENED, LATCHED]
    assert ward.alerts()[-1]["cause"] == "silent"
    assert now(ward.kill().turn()) == [("latched", "high", 0)]


@pytest.mark.parametrize("pause", [10, 40], ids=["within the time to merge", "later"])
def test_what_opens_while_an_alarm_is_latched_is_the_same_alarm(pause):
    ward = Ward().beats("H" + ENDS + "N" * pause).turn().kill().beats("L").turn()
    opened = ward.alerts()[-1]
    assert (opened["id"], opened["event"], opened["reopened"]) == ("physiological:ecg.beats:0:0", "opened", True)
    assert (opened["priority"], opened["opened_at"]) == ("high", "2023-11-14T22:13:20.000Z")
    assert now(ward) == [("on", "high", 0)]
    ward.kill().beats(ENDS).turn()
    assert ward.presences()[2:] == [OPENED, LATCHED]
    assert ward.acknowledge(0).turn().told()[-1] == ("closed", "nurse")
    assert now(ward) == []


def test_what_opens_soon_after_a_latched_alarm_was_acknowledged_is_the_same_alarm_and_has_to_be_seen_again():
    ward = Ward().beats("H" + ENDS).turn().acknowledge(0).turn().kill().turn().beats("L").turn()
    assert ward.presences() == [OPENED, LATCHED, ("closed", "off", "high"), OPENED]
    assert len({one["id"] for one in ward.alerts()}) == 1
    assert ward.told()[-1] == ("opened", None)


@pytest.mark.parametrize("kinds", ["H" + ENDS, "H" + ENDS + "N" * 40 + "L"], ids=["latched", "on again"])
def test_an_alarm_whose_beats_are_read_again_is_closed_under_its_id(kinds):
    row = Ward().beats("N" * 30 + kinds).turn().cluster.state(0)[BED]
    assigned = {0: Assigned(3, None, {BED: row}, atomic=True)}
    bench = Bench(replace(records([NORMAL], first_offset=3), assigned=assigned)).turn(2)
    (closed,) = bench.alerts()
    assert [closed[name] for name in ("id", "event", "presence", "cause", "priority")] == [
        *("physiological:ecg.beats:0:30", "closed", "off", "read-again", "high")
    ]


def test_somebody_is_reminded_of_an_alarm_that_was_acknowledged_and_stays_on():
    ward = Ward(remind_seconds=10).beats("VVV").turn().acknowledge(2).turn().beats("V" * 9).turn()
    assert ward.told() == [("opened", None), ("acknowledged", "nurse")]
    ward.kill().beats("V" * 20).turn()
    reminded = ward.alerts()[-1]
    assert [reminded[name] for name in ("event", "presence", "offset", "acknowledged", "score")] == [
        *("reminded", "on", 12, None, None)
    ]
    assert reminded["beat_time"] == "2023-11-14T22:13:32.000Z"
    assert len(ward.acknowledge(2).turn().beats("V" * 20).turn().kill().turn().told()) == 5


@pytest.mark.parametrize(("remind_seconds", "kinds"), [(0, "V" * 90), (10, "V" * 4 + ENDS + "N" * 20)])
def test_nobody_is_reminded_without_the_setting_or_when_the_alarm_is_over(remind_seconds, kinds):
    ward = Ward(remind_seconds=remind_seconds).beats("VVV").turn().acknowledge(2).turn().beats(kinds).turn()
    assert "reminded" not in dict(ward.told())


def test_a_reminder_comes_before_the_end_of_its_alarm_in_the_same_batch():
    ward = Ward(remind_seconds=10).beats("H").turn().acknowledge(0).turn().beats("H" * 12 + ENDS).turn()
    assert ward.presences() == [OPENED, ("acknowledged", "on", "high"), ("reminded", "on", "high"), LATCHED]


def test_nobody_is_reminded_at_the_beat_that_ends_the_alarm():
    ward = Ward(remind_seconds=10).beats("H").turn().acknowledge(0).turn().beats("H" * 5 + ENDS).turn()
    assert (ward.told()[-1], ward.alerts()[-1]["offset"]) == (("closed", "nurse"), 10)


def test_of_further_runs_four_a_minute_go_out_and_the_next_event_says_how_many_did_not():
    ward = Ward().beats("L" + "R" * 9).turn().kill().beats("R" * 41).turn()
    assert [one["event"] for one in ward.alerts()] == ["opened", *["updated"] * 4]
    ward.beats("R" * 20).turn()
    assert [(one["offset"], one["left_out"]) for one in ward.alerts()][5:] == [(61, 56), (62, 0), (63, 0), (64, 0)]
    assert ward.beats("H" + ENDS).turn().acknowledge(0).turn().presences()[9:] == [
        *(("updated", "on", "high"), LATCHED, ("closed", "off", "high"))
    ]
    assert [one["left_out"] for one in ward.alerts()][9:] == [6, 0, 0]


TURNS = st.one_of(
    st.sampled_from(["kill", "turn", "acknowledge", "again", "rewind", "other", "pause", "pause all", "off", "resume"]),
    st.sampled_from(["V", "VVV", "N", ENDS, "H", "L", "R" * 6, "FFF", "N" * 30]),
)


PAUSES = {
    "pause": lambda ward: ward.pause(15),
    "pause all": lambda ward: ward.pause(25, source="*"),
    "off": lambda ward: ward.pause(None),
    "resume": Ward.resume,
}


def played(turns):
    """A ward after these turns, and after the end of every pause."""
    ward = Ward(remind_seconds=8)
    for turn in turns:
        if turn == "kill":
            ward.kill()
        elif turn == "rewind":
            ward.bench.broker.rewind_next()
        elif turn in {"acknowledge", "again"}:
            opened = [one["id"].rsplit(":", 1)[1] for one in ward.alerts() if one["kind"] == "physiological"]
            ward.acknowledge(int(([0, *opened])[-1 if turn == "acknowledge" else 0]))
        elif turn == "other":
            ward.beats("N" * 30, source=b"other")
        elif turn in PAUSES:
            PAUSES[turn](ward)
        elif turn != "turn":
            ward.beats(turn)
        ward.turn(2)
    return ward.turn(8).resume().resume(source="*").turn(4)


@profile(max_examples=100, deadline=None)
@given(turns=st.lists(TURNS, max_size=25))
def test_an_alarm_keeps_to_its_life_whatever_comes(turns):
    ward, on, ended, seen = played(turns), {}, set(), set()
    for one in ward.alerts():
        place, before = (one["source"], one["kind"]), on.get((one["source"], one["kind"]))
        assert (one["id"], one["event"], one["offset"]) not in seen
        seen.add((one["id"], one["event"], one["offset"]))
        if before is None:
            assert one["event"] == "opened"
            assert one["reopened"] == (one["id"] in ended)
        else:  # never two of a kind and source; what is not over has its id and priority
            assert one["id"] == before["id"]
            assert one["event"] != "opened" or before["presence"] == "latched"
            assert ["low", "medium", "high"].index(one["priority"]) >= ["low", "medium", "high"].index(
                before["priority"]
            )
            assert one["event"] != "reminded" or before["acknowledged"]
            assert one["opened_at"] == before["opened_at"]
        assert (one["presence"] == "off") == (one["event"] == "closed")
        on[place] = None if one["event"] == "closed" else one
        ended |= {one["id"]} if one["event"] == "closed" else set()
        assert one["activation"] == "on" or one["event"] not in {"opened", "reminded"}
    left = sorted((one["presence"], one["priority"], int(one["id"].rsplit(":", 1)[1])) for one in on.values() if one)
    assert sorted(now(ward)) == left


def test_a_row_of_a_source_whose_alarm_never_latched_is_that_of_before():
    assert b"alarms" not in Ward().beats("HH").turn().cluster.state(0)[BED]
