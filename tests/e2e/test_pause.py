"""`ecg-monitor pause` and `resume` on a running broker, through a kill of the monitor."""

from __future__ import annotations

from contextlib import closing

import pytest

from monitor.broker import Publisher
from monitor.records.record import Message
from tests.conftest import CLIENTS
from tests.e2e.daemon import Daemon, read_json


def send(settings, beat, count):
    with closing(Publisher(settings)) as publisher:
        for _ in range(count):
            publisher.send(Message(settings.beats_topic, b"bed 7", beat))
        publisher.flush()


@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_pause_holds_back_is_announced_once_when_somebody_resumes(
    command,
    make_settings,
    model_file,
    odd_beat,
    tmp_path,
    client,
):
    settings = make_settings(partitions=2, kafka_client=client)

    def told():
        return [(one["event"], one["activation"]) for one in read_json(settings, settings.alerts_topic)]

    code, out, err = command(settings, "pause", "--all", "--until-resumed", "--by", "ann")
    assert (code, err) == (0, "")
    assert "all sources: paused until somebody resumes by ann, version 0" in out
    with Daemon(settings, model_file, tmp_path / "log") as daemon:
        send(settings, odd_beat, 4)
        daemon.wait_until(lambda: "on, paused" in command(settings, "alarms")[1], "held back")
        assert told() == []
        daemon.process.kill()
        daemon.process.wait()
    with Daemon(settings, model_file, tmp_path / "again") as daemon:
        daemon.wait_until(lambda: daemon.get("/readyz")[0] == 200, "ready")
        assert told() == []
        assert command(settings, "resume", "--all", "--by", "ann")[0] == 0
        daemon.wait_until(lambda: told() == [("opened", "on")], "announced")
        assert "paused" not in command(settings, "alarms")[1]
        assert daemon.terminate() == 0
    assert told() == [("opened", "on")]
