"""How many alarms are on. That they are those of the alerts is tested with the loop."""

from __future__ import annotations

import pytest

from monitor.alarms.alarms_on import AlarmGroup
from tests.pipeline.ward import START_MS, Ward


def counted(ward):
    """What a monitor shows now, by group; and since when nobody has acknowledged the oldest high one."""
    ward.bench.time.advance(2)
    ward.turn(1)
    found = {}
    for priority in ("low", "medium", "high"):
        for kind in ("physiological", "technical"):
            for seen in ("no", "yes"):
                labels = {"kind": kind, "priority": priority, "acknowledged": seen}
                if count := ward.bench.metric("alarms", **labels):
                    found[AlarmGroup(kind, priority, seen == "yes")] = count
    return found, ward.bench.metric("unacknowledged_since_timestamp_seconds", priority="high")


HIGH, SEEN, FLAT = (
    AlarmGroup("physiological", "high", False),
    AlarmGroup("physiological", "high", True),
    AlarmGroup("technical", "medium", False),
)


@pytest.mark.parametrize("is_killed", [False, True])
def test_alarms_are_counted_from_their_opening_until_they_are_off_also_by_the_next_member(is_killed):
    def after(ward):
        return counted(ward.kill().turn() if is_killed else ward.turn())

    ward = Ward().beats("H").turn().beats("FFF", source=b"other")
    assert after(ward) == ({HIGH: 1, FLAT: 1}, START_MS / 1000)
    assert after(ward.acknowledge(0)) == ({SEEN: 1, FLAT: 1}, 0)
    assert after(ward.beats("NNNNN").beats("NNNNN", source=b"other")) == ({}, 0)
    assert after(ward.beats("HNNNNN")) == ({HIGH: 1}, START_MS / 1000)  # latched: the one of before, opened again
    assert after(ward.beats("N" * 40)) == ({HIGH: 1}, START_MS / 1000)


def test_what_a_pause_holds_back_does_not_count():
    ward = Ward().pause(None).beats("H").turn()
    assert counted(ward) == counted(ward.kill().turn()) == ({}, 0)
    assert counted(ward.resume().turn()) == ({HIGH: 1}, START_MS / 1000)


def test_alarms_of_a_partition_that_another_member_reads_do_not_count():
    ward = Ward().beats("H").turn()
    first = ward.bench
    ward.kill().turn()
    first.time.advance(2)
    first.turn(3)
    assert first.metric("alarms", kind="physiological", priority="high", acknowledged="no") == 0
