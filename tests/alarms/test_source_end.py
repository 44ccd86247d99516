"""What is kept of commands that end sources. That they are applied once is tested with the loop."""

from __future__ import annotations

from monitor.alarms import source_end
from monitor.alarms.lifecycle import Acknowledgement
from monitor.alarms.source_end import SourceEnd, SourceEnds


def command(number, before, topic="ecg.beats"):
    return SourceEnd(b"bed %d" % number, topic, before, Acknowledgement("clerk", 0, "", number))


def kept(*commands):
    ends = SourceEnds("ecg.beats")
    for one in commands:
        ends.add(one)
    return ends


def test_commands_about_another_topic_or_partition_are_not_for_this_monitor():
    ends = kept(command(1, {0: 5}, topic="other"), command(2, {1: 5}))
    ends.assign(0)
    assert not ends.is_due({0: 9, 1: 9})
    ends.assign(1)
    assert [due.source for due in ends.take({0: 9, 1: 9})] == [b"bed 2"]


def test_a_command_waits_for_its_offset_and_is_given_out_once_for_each_assignment():
    ends = kept(command(1, {0: 5}))
    ends.assign(0)
    assert ends.take({0: 4}) == []
    assert len(ends.take({0: 5})) == 1
    assert ends.take({0: 6}) == []
    ends.assign(0)
    assert len(ends.take({0: 6})) == 1


def test_the_last_command_of_a_source_replaces_the_one_before():
    ends = kept(command(1, {0: 5}), command(1, {0: 8}))
    ends.assign(0)
    assert ends.first(0, 0, 100) == 8
    assert [due.offset for due in ends.take({0: 9})] == [8]


def test_a_step_ends_at_the_first_offset_of_a_command_inside_it():
    ends = kept(command(1, {0: 5}), command(2, {0: 8}))
    found = [ends.first(0, *bounds) for bounds in ((0, 100), (5, 100), (5, 8), (8, 100))]
    assert found == [5, 8, None, None]
    assert ends.first(1, 0, 100) is None


def test_commands_in_force_are_those_up_to_an_offset():
    assert kept(command(1, {0: 5}), command(2, {0: 8}), command(3, {1: 2})).in_force(0, 7) == {b"bed 1": 5}


def test_a_command_waits_while_it_is_to_be_applied_before_the_next_record():
    ends = kept(command(1, {0: 5}))
    assert [ends.waits(0, offset, is_new=True) for offset in (4, 5, 9)] == [False, True, True]
    assert not ends.waits(0, 5, is_new=False)
    ends.assign(0)
    assert [ends.waits(0, offset, is_new=False) for offset in (4, 5, 9)] == [False, True, True]
    ends.take({0: 5})
    assert not ends.waits(0, 9, is_new=False)


def test_of_too_many_commands_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(source_end, "MAX_ENDS", 2)
    ends = kept(*(command(number, {0: number}) for number in range(3)))
    assert ends.in_force(0, 9) == {b"bed 1": 1, b"bed 2": 2}
