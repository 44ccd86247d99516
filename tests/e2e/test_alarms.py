"""`ecg-monitor alarms` on a running broker: what is on, once and while it changes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import pytest

from monitor.alarms.episode_state import encode
from monitor.alarms.rule import QUIET, EpisodeState, SourceState
from monitor.broker import COMMAND_SECONDS, Publisher, kafka_client
from monitor.records.record import GROUP_HEADER, Message
from tests.command_line import invoke, leave_settings_behind
from tests.conftest import CLIENTS, REPOSITORY
from tests.e2e.daemon import clean_environment

NAMES = ("bootstrap_servers", "beats_topic", "state_topic", "group_id", "kafka_client")
OPEN = EpisodeState(7, 5, 0, opened_offset=12, opened_at=1_700_000_000_000, flagged_beats=3, seen_beats=5, cause=1)
URGENT = OPEN._replace(priority=2)
CHANGE_SECONDS = 30.0  # a change is there within about one on an idle machine; without following it never comes
with_each_client = pytest.mark.parametrize("client", CLIENTS)


def variables(settings):
    return {f"MONITOR_{name.upper()}": str(getattr(settings, name)) for name in NAMES}


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `ecg-monitor alarms …` with just these settings; gives exit code, output and standard error."""
    leave_settings_behind(monkeypatch, tmp_path)

    def run(settings, *arguments):
        for name, value in variables(settings).items():
            monkeypatch.setenv(name, value)
        return invoke(monkeypatch, capsys, "alarms", *arguments)

    return run


def row(physiological=QUIET, technical=QUIET):
    return encode(SourceState((physiological, technical), 0, 17))


def put(settings, source, value, group=None, partition=1):
    headers = ((GROUP_HEADER, (group or settings.group_id).encode()),)
    with closing(Publisher(settings)) as publisher:
        publisher.send(Message(settings.state_topic_name, source, value, headers, partition=partition))
        publisher.flush()


def test_alarms_of_all_partitions_are_a_table_with_the_most_urgent_first(command, make_settings):
    settings = make_settings()
    put(settings, b"bed 1", row(OPEN), partition=0)
    put(settings, b"bed 2", row(URGENT, OPEN._replace(cause=1)))
    put(settings, b"bed 3", row(OPEN._replace(closed_at=1)))
    code, out, err = command(settings)
    header, *rows, summary = out.splitlines()
    assert (code, err) == (0, "")
    assert header.split()[:5] == ["priority", "kind", "cause", "presence", "source"]
    assert sorted(line.split("  ")[0] for line in rows) == ["high", "medium", "medium"]
    assert rows[0].startswith("high      physiological  unusual-shape  on        bed 2   2023-11-14T22:13:20.000Z  ")
    assert any("technical      flat-line      on        bed 2" in line for line in rows)
    assert summary.startswith(f"3 alarms on: 1 high, 2 medium ({settings.state_topic}, last written 2")


def test_alarms_are_printed_as_json_and_what_is_left_out_in_one_line(command, make_settings):
    settings = make_settings()
    put(settings, b"bed 1", row(OPEN))
    put(settings, b"bed 2", row(OPEN), group="other")
    put(settings, b"\x1b[2J", b'{"schema":2}')
    code, out, err = command(settings, "--json", "--priority", "medium", "--kind", "physiological")
    found = json.loads(out)
    assert (code, found["source"], found["presence"], found["partition"]) == (0, "bed 1", "on", 1)
    assert found["id"] == f"physiological:{settings.beats_topic}:1:12"
    assert err.count("\n") == 1
    assert "1 row that this version cannot read" in err
    assert "1 record of group other" in err


def test_no_alarm_is_said_and_no_error(command, make_settings):
    settings = make_settings()
    assert command(settings) == (0, f"no alarm is on ({settings.state_topic}, never written)\n", "")
    put(settings, b"bed 1", row(OPEN))
    assert command(settings, "--json", "--source", "bed 2") == (0, "", "")
    assert command(settings, "--priority", "low")[1].startswith("no alarm is on, besides 1 other (")
    put(settings, b"bed 1", None)
    assert command(settings)[1].startswith(f"no alarm is on ({settings.state_topic}, last written 2")


@pytest.mark.parametrize("words", [(), ("--watch",)])
def test_a_topic_that_is_not_there_is_one_sentence(command, make_settings, words):
    settings = make_settings()
    code, out, err = command(settings.model_copy(update={"state_topic": f"{settings.group_id}.gone"}), *words)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert f"{settings.group_id}.gone" in err
    assert err.count("\n") == 1


@contextmanager
def watching(settings, *words, output=subprocess.PIPE):
    """`ecg-monitor alarms --watch` as a process, which must end well at Ctrl-C."""
    environment = clean_environment() | variables(settings) | {"PYTHONPATH": str(REPOSITORY), "LINES": "20"}
    line = [sys.executable, "-m", "monitor", "alarms", "--watch", *words]
    process = subprocess.Popen(line, env=environment, stdout=output, stderr=subprocess.PIPE, text=True)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
        assert (process.returncode, error) == (0, "")
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("kafka")
@with_each_client
def test_each_change_is_followed(make_settings, client):
    settings = make_settings(kafka_client=client)
    put(settings, b"bed 1", row(OPEN))
    with watching(settings, "--json") as process:
        found = [json.loads(process.stdout.readline())]
        for value in (row(URGENT), None):
            began = time.monotonic()
            put(settings, b"bed 1", value)
            found.append(json.loads(process.stdout.readline()))
            assert time.monotonic() - began < CHANGE_SECONDS
    assert [(one["presence"], one["priority"]) for one in found] == [("on", "medium"), ("on", "high"), ("off", "high")]


@pytest.mark.usefixtures("kafka")
def test_a_partition_that_is_added_is_read_too(make_settings):
    settings = make_settings(kafka_client="confluent")  # the other client looks for new ones every five minutes
    put(settings, b"bed 1", row(OPEN))
    with watching(settings, "--json") as process:
        process.stdout.readline()
        with closing(kafka_client(settings).admin(settings, COMMAND_SECONDS)) as admin:
            admin.extend(settings.state_topic, 3)
        put(settings, b"bed 2", row(OPEN), partition=2)
        found = json.loads(process.stdout.readline())
    assert (found["source"], found["partition"]) == ("bed 2", 2)


def read_until(terminal, text):
    shown = ""
    while text not in shown:
        shown += os.read(terminal, 65536).decode()
    return shown


def test_a_terminal_shows_the_table_as_it_changes(make_settings):
    settings = make_settings()
    terminal, end = pty.openpty()
    put(settings, b"bed 1", row(OPEN))
    with watching(settings, output=end):
        assert "medium    physiological  unusual-shape  on        bed 1" in read_until(terminal, "\x1b[?7h")
        put(settings, b"bed 1", None)
        read_until(terminal, "no alarm is on")
    os.close(end)
    os.close(terminal)
