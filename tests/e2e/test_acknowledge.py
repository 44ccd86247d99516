"""`ecg-monitor acknowledge` on a running broker: seen once, without a beat, and through a kill of the monitor."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from monitor.broker import Publisher
from monitor.records.record import Message
from tests.conftest import CLIENTS
from tests.e2e.daemon import Daemon, read_json

SEEN_SECONDS = 30.0  # about one on an idle machine


def events(settings):
    return [(one["event"], (one["acknowledged"] or {}).get("by")) for one in read_json(settings, settings.alerts_topic)]


@pytest.mark.parametrize("client", CLIENTS)
def test_an_alarm_is_acknowledged_once_through_a_kill(command, make_settings, model_file, odd_beat, tmp_path, client):
    settings = make_settings(partitions=2, kafka_client=client)
    with closing(Publisher(settings)) as publisher:
        for _ in range(3):
            publisher.send(Message(settings.beats_topic, b"bed 7", odd_beat))
        publisher.flush()
    opened, seen = ("opened", None), ("acknowledged", "ann")
    with Daemon(settings, model_file, tmp_path / "log") as daemon:
        daemon.wait_until(lambda: events(settings) == [opened], "opened")
        code, out, err = command(settings, "acknowledge", "--source", "bed 7", "--by", "ann", "--note", "seen")
        began = time.monotonic()
        assert (code, err) == (0, "")
        assert "acknowledged by ann, version 0" in out
        daemon.wait_until(lambda: events(settings) == [opened, seen], "acknowledged")
        assert time.monotonic() - began < SEEN_SECONDS
        daemon.process.kill()
        daemon.process.wait()
    with Daemon(settings, model_file, tmp_path / "again") as daemon:
        daemon.wait_until(lambda: daemon.get("/readyz")[0] == 200, "ready")
        assert "ann" in command(settings, "alarms")[1]
        assert daemon.terminate() == 0
    assert events(settings) == [opened, seen]


def test_what_is_not_on_cannot_be_acknowledged(command, make_settings):
    settings = make_settings()
    code, out, err = command(settings, "acknowledge", "physiological:ecg.beats:0:3")
    assert (code, out) == (2, "")
    assert "error: physiological:ecg.beats:0:3 is not on: look with `ecg-monitor alarms`" in err
    assert command(settings, "acknowledge", "--source", "bed 7")[0] == 2
    assert "give one of ALARM and --source" in command(settings, "acknowledge")[2]
