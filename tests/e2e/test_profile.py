"""`ecg-monitor profile` on a running broker: show what a monitor stored, and reset it."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import orjson
import pytest

from monitor.broker import COMMAND_SECONDS, Publisher, kafka_client
from monitor.profiles import Profiles
from monitor.records.record import GROUP_HEADER, Message
from tests.command_line import invoke, leave_settings_behind
from tests.e2e.daemon import read_all
from tests.profiles.beats_of_sources import played


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `ecg-monitor profile …` with just these settings; gives exit code, output and standard error."""
    leave_settings_behind(monkeypatch, tmp_path)

    def run(settings, *arguments):
        for name in ("bootstrap_servers", "control_topic", "group_id"):
            monkeypatch.setenv(f"MONITOR_{name.upper()}", getattr(settings, name))
        return invoke(monkeypatch, capsys, "profile", *arguments)

    return run


@pytest.fixture
def settings(make_settings):
    made = make_settings()
    with closing(kafka_client(made).admin(made, COMMAND_SECONDS)) as admin:
        if made.profiles_topic_name not in admin.topics():
            admin.create(made.profiles_topic_name, 2, 1, {"cleanup.policy": "compact"})
    return made


def put(settings, key, value, group=None, partition=1):
    headers = ((GROUP_HEADER, (group or settings.group_id).encode()),)
    with closing(Publisher(settings)) as publisher:
        publisher.send(Message(settings.profiles_topic_name, key, value, headers, partition=partition))
        publisher.flush()


def state(kinds):
    profiles = Profiles(120.0)
    row, _ = played(profiles, kinds)
    return profiles.encode(np.array([row]))[0]


def test_a_profile_is_shown_with_a_picture_of_each_template(command, settings):
    put(settings, b"bed 7", state("N" * 200))
    put(settings, b"bed 7", state("NNNNNNNB" * 30))
    put(settings, b"bed 7", state("N" * 50), group="other")
    code, out, err = command(settings, "show", "--source", "bed 7")
    assert (code, err) == (0, "")
    assert out.startswith("bed 7: learned, 240 beats, ")
    assert "template 2 of 2" in out
    assert max(map(len, out.splitlines())) <= 80
    assert sum("\u2502" in line for line in out.splitlines()) == 24


def test_a_profile_is_printed_as_json(command, settings):
    put(settings, b"bed 7", state("NNNV" * 60))
    code, out, _ = command(settings, "show", "--source", "bed 7", "--json")
    found = json.loads(out)
    assert (code, found["state"], found["beats"], found["partition"]) == (0, "sick", 240, 1)
    assert [len(curve) for curve in (found["seconds"], *found["templates"][0].values())] == [60, 60, 60]


@pytest.mark.parametrize("value", [None, b"bad"])
def test_a_profile_that_is_not_there_is_said(command, settings, value):
    put(settings, b"bed 7", value)
    code, out, err = command(settings, "show", "--source", "bed 7")
    assert (code, out) == (2, "")
    assert "error: no profile of bed 7 is known on" in err
    assert ("warning: the row in partition 1 cannot be used: a profile has" in err) == (value is not None)


def test_a_reset_is_written_with_who_and_why(command, settings):
    put(settings, b"bed 7", state("N" * 50))
    done = command(settings, "reset", "--source", "bed 7", "--by", "ann", "--note", "new leads")
    assert done == (0, "bed 7: will be learned again, version 0\n", "")
    [record] = read_all(settings, settings.control_topic)
    assert record.key == b"profile/bed 7"
    assert orjson.loads(record.value) == {"reset": True, "by": "ann", "note": "new leads"}


def test_a_reset_of_a_source_that_nobody_knows_is_written_with_a_warning(command, settings):
    code, out, err = command(settings, "reset", "--source", "bed 8", "--by", "ann")
    assert (code, out) == (0, "bed 8: will be learned again, version 0\n")
    assert "warning: no profile of bed 8 is known on" in err


def test_a_name_that_no_source_has_is_refused(command, settings):
    for words in (("show", "--source", "*"), ("reset", "--source", "")):
        assert command(settings, *words)[0] == 2
    assert read_all(settings, settings.control_topic) == []
