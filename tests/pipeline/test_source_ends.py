"""`source end` through the loop: applied once, at its offset, however beats are cut, also after kills and replays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from monitor.alarms import control_message
from monitor.alarms.lifecycle import Acknowledgement
from monitor.records.record import Assigned, ControlRecord, Message
from tests.fakes import records
from tests.pipeline import test_profiles as profile_ward
from tests.pipeline.test_acknowledgements import OPENED, SEEN
from tests.pipeline.test_loop import ABNORMAL, Bench
from tests.pipeline.ward import BED, START_MS, Ward

ENDED = ("closed", "ended")


def end(ward, before, source="bed 7", topic="ecg.beats", by="ward clerk"):
    """Write the command that ends a source before an offset of partition 0."""
    given_by = Acknowledgement(by, START_MS, "went home", 0)
    value = control_message.encode_end(topic, {0: before}, given_by)
    ward.cluster.publish(Message("ecg.control", control_message.end_key(source), value))
    return ward


def told(ward):
    return [(one["event"], one["cause"]) for one in ward.alerts()]


ON = ("opened", "unusual-shape")


@pytest.fixture
def ward():
    """An alarm is on that opened at offset 2."""
    return Ward().beats("VVV").turn()


def test_the_end_of_a_source_closes_its_alarm_without_a_beat_and_says_who_and_why(ward):
    end(ward, 3).turn()
    assert told(ward) == [ON, ENDED]
    closed = ward.alerts()[1]
    assert closed["ended"] == {
        "by": "ward clerk",
        "at": "2023-11-14T22:13:20.000Z",
        "note": "went home",
        "version": 0,
    }
    assert (closed["presence"], closed["offset"], closed["beat_time"]) == ("off", 2, None)
    assert closed["closed_at"] == closed["ended"]["at"]
    assert ward.cluster.state(0) == {}
    assert ward.bench.metric("episodes", kind="physiological") == 0


def test_its_checkpoint_has_the_offset_of_the_partition_so_that_kafka_checks_the_member(ward):
    end(ward, 3).turn()
    (checkpoint,) = [
        one for one in ward.bench.broker.checkpoints if any(b'"ended"' in (m.value or b"") for m in one.messages[:1])
    ][-1:]
    assert (checkpoint.offsets, [one.key for one in checkpoint.deletions]) == ({0: 3}, [BED])


def test_the_end_shows_who_had_seen_the_alarm(ward):
    end(ward.acknowledge(2), 3).turn()
    assert ward.told() == [OPENED, SEEN, ("closed", "nurse")]


def test_an_alarm_that_is_latched_ends_with_its_source_and_one_that_latches_later_stays():
    ward = Ward().beats("HHHNNNNN").turn()
    assert ward.presences()[-1][1] == "latched"
    end(ward, 8).turn()
    assert (told(ward)[-1], ward.presences()[-1][1], ward.cluster.state(0)) == (ENDED, "off", {})
    ward.beats("HHHNNNNNNNNN").turn().kill().turn()
    assert ward.presences()[-1][1] == "latched"


def test_a_source_that_sends_again_begins_anew_and_an_old_command_changes_nothing(ward):
    end(ward, 3).turn().beats("VVV").turn().kill().turn().kill().turn()
    assert told(ward) == [ON, ENDED, ON]
    assert len({one["id"] for one in ward.alerts()}) == 2


def test_a_command_that_came_while_nobody_read_is_applied_between_the_beats_before_and_after_its_offset():
    ward = end(Ward().beats("VVVVV"), 4).turn(8)
    assert told(ward) == [ON, ENDED]
    assert told(ward.beats("VV").turn()) == [ON, ENDED, ON]


def test_a_command_whose_checkpoint_was_aborted_is_applied_again(ward):
    ward.bench.broker.rewind_next()
    assert told(end(ward, 3).turn(8)) == [ON, ENDED]


def test_a_step_that_was_cut_at_an_end_is_read_again_as_a_whole_after_a_failure():
    ward = end(Ward().beats("VVVVV"), 4)
    ward.bench.broker.rewind_next()
    assert told(ward.turn(10)) == [ON, ENDED]
    assert told(ward.beats("VV").turn()) == [ON, ENDED, ON]
    assert ward.alerts()[-1]["offset"] == 6  # the third beat since the end


def test_an_end_behind_the_mark_of_a_transaction_comes_before_the_next_record():
    key, by = control_message.end_key("source"), Acknowledgement("clerk", START_MS, "", 0)
    command = ControlRecord(key, control_message.encode_end("ecg.beats", {0: 4}, by), 0)
    first = replace(records([ABNORMAL] * 3), assigned={0: Assigned(0, None, {}, atomic=True)})
    second = replace(records([ABNORMAL] * 3, first_offset=4), control_records=(command,))
    bench = Bench(first, second).turn(6)
    assert [(one["event"], one["offset"]) for one in bench.alerts()] == [("opened", 2), ("closed", 3), ("opened", 6)]


@pytest.mark.parametrize(
    ("before", "source", "topic"), [(2, "bed 7", "ecg.beats"), (3, "bed 8", "ecg.beats"), (3, "bed 7", "other")]
)
def test_a_source_that_sends_on_or_is_not_known_is_not_ended(ward, caplog, before, source, topic):
    caplog.set_level("INFO")
    assert told(end(ward, before, source, topic).turn()) == [ON]
    line = "ends of sources that are not known, or that send on: 1; they change nothing"
    assert (line in caplog.messages) == (topic == "ecg.beats")


def test_a_command_about_an_offset_that_never_comes_waits_without_a_step(ward):
    end(ward, 2**50).turn(4)
    assert told(ward) == [ON]
    assert len(ward.bench.broker.checkpoints) == 1


TURNS = st.one_of(st.sampled_from(["kill", "turn", "end", "rewind"]), st.sampled_from(["V", "VVV", "N", "NNNNN"]))


def disturb(ward, turn):
    if turn == "kill":
        ward.kill()
    elif turn == "rewind":
        ward.bench.broker.rewind_next()


@profile(max_examples=60, deadline=None)
@given(turns=st.lists(TURNS, max_size=25), is_slow=st.booleans())
def test_ends_are_applied_once_at_their_offsets_whatever_is_killed_or_read_together(turns, is_slow):
    ward, calm = Ward(), Ward()
    for turn in turns:
        disturb(ward, turn)
        if turn == "end":
            ward.turn(8)  # of several ends of a source the last one counts
            end(ward, ward.sent)
            end(calm, ward.sent)
        elif turn[0] in "VN":
            ward.beats(turn)
            calm.beats(turn)
        calm.turn(3)
        ward.turn(0 if is_slow and turn != "turn" else 2)
    ward.turn(8 + 3 * len(turns))
    last = {}
    for one in ward.alerts():
        assert (last.get(one["id"], "closed") == "closed") == (one["event"] == "opened")
        last[one["id"]] = one["event"]
    facts = [
        [(one["id"], one["event"], one["cause"], one["offset"], one["beats"]) for one in ward_or_calm.alerts()]
        for ward_or_calm in (ward, calm)
    ]
    assert facts[0] == facts[1]


def learned(ward, source):
    """The row of a source on the profiles topic; None where it has none."""
    return {one.key: one.value for one in ward.cluster.messages(ward.settings.profiles_topic_name)}.get(source)


def end_of_bed_1(ward):
    positions = {0: len(ward.cluster.rows("ecg.beats", 0))}
    value = control_message.encode_end("ecg.beats", positions, Acknowledgement("clerk", START_MS, "", 0))
    ward.cluster.publish(Message("ecg.control", control_message.end_key("bed 1"), value))
    return ward.judge_all()


@pytest.mark.parametrize("beats", [200, 600], ids=["no row stored", "rows stored"])
def test_what_was_learned_of_a_source_goes_with_it_and_the_next_one_learns_from_its_own_beats_alone(beats):
    ward = profile_ward.Ward("N" * beats).judge_all()
    end_of_bed_1(ward).start()
    ward.judge_all()
    assert learned(ward, b"bed 1") is None
    assert ward.personal.summary(0, b"bed 1") is None
    assert ward.personal.summary(1, b"bed 2").is_learned
    beat, time_ms = next(one for one in profile_ward.stream("N" * beats) if one[0].key == b"bed 1")
    ward.cluster.publish(beat, time_ms + 10_000_000)
    ward.judge_all().start()
    ward.judge_all()
    assert ward.personal.summary(0, b"bed 1").beats == 1


def test_a_source_that_ends_while_its_beats_are_read_again_stays_ended():
    ward = profile_ward.Ward("N" * 200, batch_size=40).judge_all()
    ward.start()
    ward.bench.turn(3)
    assert ward.personal.summary(0, b"bed 1").beats < 200
    end_of_bed_1(ward).bench.turn(20)
    assert ward.personal.summary(0, b"bed 1") is None
    assert ward.personal.summary(0, b"bed 3").beats == 200
