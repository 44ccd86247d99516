"""Acknowledgements through the loop: applied once, by whoever reads the partition, also after kills and replays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from monitor.alarms import control_message
from monitor.records.record import Message
from tests.pipeline import test_profiles as profile_ward
from tests.pipeline.test_loop import Bench
from tests.pipeline.ward import BED, RULE, START_MS, Member, Ward

OPENED, SEEN = ("opened", None), ("acknowledged", "nurse")


@pytest.fixture
def ward():
    """An alarm is on that opened at offset 2."""
    return Ward().beats("VVV").turn()


def test_an_acknowledgement_goes_out_without_a_beat_and_the_end_of_the_alarm_tells_it(ward):
    ward.acknowledge(2).turn()
    assert ward.told() == [OPENED, SEEN]
    assert ward.alerts()[1]["acknowledged"] == {
        "by": "nurse",
        "at": "2023-11-14T22:13:20.000Z",
        "note": "seen",
        "version": 0,
    }
    ward.beats("NNNNN").turn()
    assert ward.told() == [OPENED, SEEN, ("closed", "nurse")]
    assert [one["presence"] for one in ward.alerts()] == ["on", "on", "off"]


def test_its_checkpoint_has_the_offset_of_the_partition_so_that_kafka_checks_the_member(ward):
    ward.acknowledge(2).turn()
    (checkpoint,) = [
        one for one in ward.bench.broker.checkpoints if any(b"nurse" in (m.value or b"") for m in one.messages)
    ]
    assert (checkpoint.offsets, set(checkpoint.stream_times)) == ({0: 3}, {0})


def test_a_command_is_applied_once_whatever_is_read_again(ward):
    ward.acknowledge(2).turn().kill().turn().kill().beats("V").turn()
    assert ward.told() == [OPENED, SEEN]


def test_a_command_that_came_while_nobody_read_is_applied_after_the_start(ward):
    ward.acknowledge(2).kill().turn()
    assert ward.told() == [OPENED, SEEN]


def test_a_command_whose_checkpoint_was_aborted_is_applied_again(ward):
    ward.bench.broker.rewind_next()
    ward.acknowledge(2).turn(8)
    assert ward.told() == [OPENED, SEEN]


def test_a_member_that_was_put_out_acknowledges_nothing_and_the_next_one_does(ward):
    ward.acknowledge(2)
    ward.cluster.evict(ward.bench.broker)
    other = Bench(broker=Member(ward.cluster), episode_rule=RULE, group_id="ward").turn(3)
    ward.turn(3)
    assert other.metric("alerts_total", kind="physiological", event="acknowledged") == 1
    assert ward.told() == [OPENED, SEEN]


def test_an_alarm_that_opens_again_is_not_acknowledged_any_more_and_an_old_command_does_not_return(ward):
    ward.acknowledge(2).turn().beats("NNNNNVVV").turn().kill().turn()
    assert ward.told() == [OPENED, SEEN, ("closed", "nurse"), OPENED]
    assert len({one["id"] for one in ward.alerts()}) == 1
    assert ward.acknowledge(2, by="doctor").turn().told()[-1] == ("acknowledged", "doctor")


def test_a_second_acknowledgement_of_the_same_alarm_changes_nothing(ward):
    ward.acknowledge(2).turn().acknowledge(2, by="doctor").turn().kill().turn()
    assert ward.told() == [OPENED, SEEN]


@pytest.mark.parametrize(("opened", "source"), [(1, "bed 7"), (2, "bed 8"), (10**17, "bed 7")])
def test_a_command_about_an_unknown_alarm_changes_nothing_and_is_logged(ward, caplog, opened, source):
    caplog.set_level("INFO")
    ward.acknowledge(opened, source=source).turn()
    assert ward.told() == [OPENED]
    assert "acknowledgements of alarms that are not on: 1; they change nothing" in caplog.messages


def test_rows_of_sources_without_an_acknowledgement_have_no_such_field(ward):
    assert b"alarms" not in ward.cluster.state(0)[BED]
    ward.acknowledge(2).turn()
    assert b'"alarms":{"physiological":{"alarm":2,' in ward.cluster.state(0)[BED]
    assert ward.beats("N" * 40).turn().cluster.state(0) == {}


TURNS = st.one_of(
    st.sampled_from(["kill", "turn", "acknowledge", "again", "rewind"]), st.sampled_from(["V", "VVV", "N", "NNNNN"])
)


@profile(max_examples=60, deadline=None)
@given(turns=st.lists(TURNS, max_size=25))
def test_nothing_is_said_of_an_alarm_that_is_off_and_nothing_twice(turns):
    ward, beats = Ward(), ""
    for turn in turns:
        if turn == "kill":
            ward.kill()
        elif turn == "rewind":
            ward.bench.broker.rewind_next()
        elif turn in {"acknowledge", "again"}:
            opened = [one["offset"] for one in ward.alerts() if one["event"] == "opened" and not one["reopened"]]
            ward.acknowledge(([0, *opened])[-1 if turn == "acknowledge" else 0])
        elif turn != "turn":
            ward.beats(turn)
            beats += turn
        ward.turn(2)
    ward.turn(8)
    last, seen = {}, set()
    for one in ward.alerts():
        event, before = one["event"], last.get(one["id"], "off")
        assert (before == "off") == (event == "opened")
        assert event != "acknowledged" or before == "on"
        assert (one["id"], event, one["offset"]) not in seen
        seen.add((one["id"], event, one["offset"]))
        last[one["id"]] = {"closed": "off", "acknowledged": "acknowledged"}.get(event, "on")
    alone = Ward().beats(beats).turn(8)
    others = [(one["id"], one["event"], one["offset"]) for one in ward.alerts() if one["event"] != "acknowledged"]
    assert others == [(one["id"], one["event"], one["offset"]) for one in alone.alerts()]


def test_profiles_are_complete_after_an_acknowledgement_without_a_beat_and_a_kill():
    def judged(turns):
        ward = profile_ward.Ward(profile_ward.LEARNING + "NNNNNNVVVVV").judge_all()
        (alarm,) = [one for one in ward.alerts() if one["source"] == "bed 1" and one["event"] == "opened"]
        for turn in turns:
            if turn == "kill":
                ward.start()
            else:
                value = control_message.encode_acknowledgement(alarm["id"], "nurse", START_MS, "")
                ward.cluster.publish(Message("ecg.control", b"acknowledge/physiological/bed 1", value))
            ward.judge_all()
        for message, time_ms in profile_ward.stream("N" * 400)[700:]:
            ward.cluster.publish(message, time_ms)
        ward.judge_all()
        return ward

    disturbed, alone = judged(["acknowledge", "kill", "kill"]), judged([])
    seen = [one for one in disturbed.alerts() if one["event"] == "acknowledged"]
    assert [(one["source"], one["acknowledged"]["by"]) for one in seen] == [("bed 1", "nurse")]
    first, second = (
        {(one["partition"], one["offset"]): one["personal_score"] for one in ward.scores()}
        for ward in (disturbed, alone)
    )
    scored = [{place: score for place, score in one.items() if score is not None} for one in (first, second)]
    assert len(scored[0]) > 400  # the others are of the time before the profile
    assert scored[0] == pytest.approx(scored[1], rel=1e-3)
