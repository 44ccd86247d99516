"""`ecg-monitor source` on a running broker: a source is listed, ended without a beat, and begins anew."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from monitor.broker import Publisher
from monitor.records.record import Message
from tests.conftest import CLIENTS
from tests.e2e.daemon import Daemon, read_json

OPENED, ENDED = ("opened", "unusual-shape"), ("closed", "ended")


def send(settings, beat):
    with closing(Publisher(settings)) as publisher:
        for _ in range(3):
            publisher.send(Message(settings.beats_topic, b"bed 7", beat))
        publisher.flush()


def events(settings):
    return [(one["event"], one["cause"]) for one in read_json(settings, settings.alerts_topic)]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_source_is_listed_ended_once_through_a_kill_and_begins_anew(
    command, make_settings, model_file, odd_beat, tmp_path, client
):
    settings = make_settings(partitions=2, kafka_client=client)
    send(settings, odd_beat)
    with Daemon(settings, model_file, tmp_path / "log") as daemon:
        daemon.wait_until(lambda: events(settings) == [OPENED], "opened")
        code, out, _ = command(settings, "source", "list", "--json")
        assert (code, [one["cause"] for one in json.loads(out)["alarms"]]) == (0, ["unusual-shape"])
        code, out, err = command(settings, "source", "end", "--source", "bed 7", "--by", "ann", "--note", "home")
        assert (code, out, err) == (0, "bed 7: ended by ann, version 0\n", "")
        daemon.wait_until(lambda: events(settings) == [OPENED, ENDED], "ended")
        daemon.process.kill()
        daemon.process.wait()
    assert "no source is known" in command(settings, "source", "list")[1]
    with Daemon(settings, model_file, tmp_path / "again") as daemon:
        send(settings, odd_beat)
        daemon.wait_until(lambda: events(settings) == [OPENED, ENDED, OPENED], "opened again")
        assert "1 source known, 1 with alarms on" in command(settings, "source", "list")[1]
        assert daemon.terminate() == 0
    assert events(settings) == [OPENED, ENDED, OPENED]


def test_a_source_that_is_not_known_cannot_be_ended(command, make_settings):
    code, out, err = command(make_settings(), "source", "end", "--source", "bed 7")
    assert (code, out) == (2, "")
    assert "error: bed 7 is not known: look with `ecg-monitor source list`" in err
