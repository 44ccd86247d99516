"""What is kept of commands. That they are applied once is tested with the loop, in `test_acknowledgements`."""

from __future__ import annotations

from monitor.alarms import lives
from monitor.alarms.control_message import AcknowledgeCommand
from monitor.alarms.lifecycle import Acknowledgement, LifeRule
from monitor.alarms.lives import AlarmLives


def command(number, topic="ecg.beats", partition=0):
    given = Acknowledgement("nurse", 0, "", number)
    return AcknowledgeCommand(b"bed %d" % number, "physiological", topic, partition, 12, given)


def test_commands_about_another_topic_or_partition_are_not_for_this_monitor():
    kept = AlarmLives("ecg.beats", LifeRule(latch_high=True, remind_ms=0))
    kept.assign(0, {})
    kept.add(command(1, topic="other"))
    kept.add(command(2, partition=1))
    assert not kept.is_due()
    kept.assign(1, {})
    assert kept.is_due()


def test_of_too_many_commands_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(lives, "MAX_COMMANDS", 2)
    kept = AlarmLives("ecg.beats", LifeRule(latch_high=True, remind_ms=0))
    for number in range(3):
        kept.add(command(number, partition=number))
    kept.assign(0, {})
    assert not kept.is_due()
    kept.assign(1, {})
    assert kept.is_due()
