"""`dead-letters list` and `replay` on a real broker: each letter once, whatever happens meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import numpy as np
import orjson
import pytest
from click.testing import CliRunner
from kafka import KafkaAdminClient, TopicPartition

from monitor import alert, broker, cli
from monitor.beat import Rejected
from monitor.broker import Publisher
from monitor.embedded import stop
from monitor.errors import BrokerError
from monitor.record import Message, Records
from tests.conftest import settings_on
from tests.e2e.daemon import TOPICS, Daemon, clean_environment, read_all
from tests.unit.test_deadletter import unpack

LIMIT_SECONDS = 90
SMALL = "import monitor.letters as l; from monitor import cli; l.CHUNK_LETTERS = 10; cli.main()"


@pytest.fixture
def desk(make_settings, request):
    is_kafka = request.getfixturevalue("broker").is_kafka
    return Desk(make_settings(), "exactly-once" if is_kafka else "at-least-once")


class Desk:
    """Dead letters on topics of their own, and the commands that look after them."""

    def __init__(self, settings, delivery):
        self.settings = settings
        names = ("bootstrap_servers", *TOPICS)
        own = {f"MONITOR_{name.upper()}": str(getattr(settings, name)) for name in names}
        self.environment = clean_environment() | own | {"MONITOR_DELIVERY": delivery}

    def run(self, *arguments, code=0):
        """Standard output and standard error of `ecg-monitor dead-letters …`."""
        done = CliRunner().invoke(cli.commands, ["dead-letters", *arguments], env=self.environment)
        assert done.exit_code == code, done.output
        return done.stdout, done.stderr

    def start(self, code=SMALL):
        """A replay in a process of its own, in small transactions."""
        command = [sys.executable, "-c", code, "dead-letters", "replay"]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def write(self, letters):
        with closing(Publisher(self.settings)) as publisher:
            for message in letters:
                publisher.send(message)
            publisher.flush()

    def letter(self, value, reason="not-json", *, key=b"bed", headers=(), topic=None, partition=0):
        at = [np.array([number]) for number in (partition, 7, 1000)]
        records = Records(topic or self.settings.beats_topic, *at, (key,), (value,), (headers,))
        now_ms = int(1000 * time.time())
        return alert.dead_letter(records, Rejected(0, reason, "no good"), self.settings.dead_letters_topic, now_ms)

    def beats(self):
        return read_all(self.settings, self.settings.beats_topic)

    def values(self):
        return Counter(record.value for record in self.beats())


def test_a_replay_puts_every_letter_back_once_as_it_came(desk):
    odd = (("reason", b"\x00\xff"), ("replays", b"often"), ("", b""), ("detail", b"mine"))
    given = [(b"k\xff", b"\x00" * 9, odd, 0), (None, None, (), 1), (b"", b"", (("replays", b"1"),), 1)]
    desk.write(desk.letter(value, key=key, headers=headers, partition=at) for key, value, headers, at in given)
    said, _ = desk.run("replay")
    assert said == f"3 dead letters put back onto {desk.settings.beats_topic}\n"
    found = {record.key: record for record in desk.beats()}
    for key, value, headers, partition in given:
        record = found.pop(key)
        own = headers[:-1] if headers[-1:] == (("replays", b"1"),) else headers
        rounds = b"2" if own != headers else b"1"
        assert (record.value, record.partition) == (value, partition)
        assert tuple(record.headers) == (*own, ("replays", rounds))
    assert not found
    refused = {record.key: record.timestamp for record in read_all(desk.settings, desk.settings.dead_letters_topic)}
    assert {record.key: record.timestamp for record in desk.beats()} == refused
    assert "0 dead letters put back" in desk.run("replay")[0]
    assert len(desk.beats()) == 3


def test_reasons_may_be_replayed_in_any_order_and_none_goes_twice(desk):
    desk.write(desk.letter(b"%d" % count, ("not-json", "empty", "no-key")[count % 3]) for count in range(30))
    assert "10 dead letters put back" in desk.run("replay", "--reason", "empty")[0]
    desk.write([desk.letter(b"late", "empty")])
    assert "1 dead letters put back" in desk.run("replay", "--reason", "empty")[0]
    said, _ = desk.run("replay")
    assert said.startswith("20 dead letters put back")
    assert "11 put back before" in said
    assert desk.values() == Counter([b"late", *(b"%d" % count for count in range(30))])


def test_a_dry_run_says_the_same_and_changes_nothing(desk):
    desk.write([desk.letter(b"1"), desk.letter(b"2", topic="elsewhere")])
    before = topics(desk)
    said, told = desk.run("replay", "--dry-run")
    assert topics(desk) == before
    assert said.startswith("1 dead letters would be put back")
    assert not desk.beats()
    really, again = desk.run("replay")
    assert really == said.replace("would be put back", "put back")
    assert again == told
    assert "0 dead letters would be put back" in desk.run("replay", "--dry-run")[0]


def topics(desk):
    with closing(KafkaAdminClient(bootstrap_servers=desk.settings.bootstrap_servers)) as admin:
        return set(admin.list_topics())


def test_what_must_stay_is_said_and_counted_and_may_go_later(desk):
    tired = desk.letter(b"tired", headers=(("replays", b"3"),))
    lacking = desk.letter(None, "too-large")
    lacking = Message(lacking.topic, b"k", None, (*lacking.headers, ("omitted", b"value, 9 bytes")))
    foreign = Message(desk.settings.dead_letters_topic, b"k", b"v", (("reason", b"mine"),))
    desk.write([tired, lacking, foreign, desk.letter(b"other", topic="other.beats")])
    said, told = desk.run("replay")
    assert said == (
        f"0 dead letters put back onto {desk.settings.beats_topic}; 1 incomplete; 1 from another topic; "
        "1 past the limit of rounds; 1 not written by a monitor\n"
    )
    assert "was put back 3 times and failed again" in told
    assert f"the record itself stands at {desk.settings.beats_topic}/0 offset 7" in told
    assert "came from other.beats" in told
    assert "1 dead letters put back" in desk.run("replay", "--max-rounds", "4")[0]
    assert desk.values() == {b"tired": 1}


def test_a_partition_that_is_not_there_leaves_it_to_the_key(desk):
    desk.write([desk.letter(b"v", partition=9)])
    desk.run("replay")
    assert desk.values() == {b"v": 1}


def test_only_the_first_sentences_of_a_kind_are_said(desk):
    desk.write(desk.letter(b"v", topic="other.beats") for _ in range(15))
    said, told = desk.run("replay")
    assert "15 from another topic" in said
    assert len(told.splitlines()) == 11


@pytest.mark.usefixtures("kafka")
def test_a_letter_that_the_broker_does_not_take_holds_up_no_other(desk):
    desk.write(desk.letter(b"x" * 1_500_000 if count == 3 else b"%d" % count) for count in range(8))
    said, told = desk.run("replay", code=1)
    assert said.startswith("7 dead letters put back")
    assert "1 refused by the broker" in said
    assert "MessageSizeTooLarge" in told
    assert desk.values() == Counter(b"%d" % count for count in range(8) if count != 3)


class Overtaken(broker.Replay):
    """Another replay comes and goes when this one has just given up its producer."""

    meddle = None

    def close(self):
        super().close()
        meddle, Overtaken.meddle = Overtaken.meddle, None
        if meddle:
            meddle()


@pytest.mark.usefixtures("kafka")
def test_a_replay_that_was_overtaken_while_it_had_no_producer_doubles_nothing(desk, monkeypatch):
    desk.write(desk.letter(b"x" * 1_500_000 if count == 3 else b"%d" % count) for count in range(8))
    monkeypatch.setattr(broker, "Replay", Overtaken)
    Overtaken.meddle = lambda: desk.run("replay", code=1)
    said, _ = desk.run("replay", code=1)
    assert "0 dead letters put back" in said
    assert "7 put back before" in said
    assert desk.values() == Counter(b"%d" % count for count in range(8) if count != 3)


@pytest.mark.usefixtures("kafka")
def test_a_replay_killed_at_any_moment_goes_on_where_it_was(desk):
    count, kills = 1500, 0
    desk.write(desk.letter(b"%d" % number, key=b"bed %d" % (number % 20)) for number in range(count))
    for share in (1, 200, 500, 900):
        process = desk.start()
        while process.poll() is None and len(desk.beats()) < share:
            pass
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 3
    desk.run("replay")
    assert desk.values() == Counter(b"%d" % number for number in range(count))


@pytest.mark.usefixtures("kafka")
def test_a_second_replay_takes_over_and_the_first_says_so(desk):
    desk.write(desk.letter(b"%d" % number) for number in range(1500))
    first = desk.start()
    try:
        while not desk.beats():
            assert first.poll() is None
        first.send_signal(signal.SIGSTOP)
        said, _ = desk.run("replay")
        first.send_signal(signal.SIGCONT)
        told, _ = first.communicate(timeout=LIMIT_SECONDS)
    finally:
        stop(first, 5)
    assert "put back before" in said
    assert first.returncode == 1
    assert "has started and goes on where this one was" in told
    assert "Traceback" not in told
    assert desk.values() == Counter(b"%d" % number for number in range(1500))


@pytest.mark.usefixtures("kafka")
def test_ctrl_c_says_how_far_it_got_and_leaves_nothing_open(desk):
    desk.write(desk.letter(b"%d" % number) for number in range(1500))
    process = desk.start()
    try:
        while not desk.beats():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        stop(process, 5)
    assert process.returncode == 1
    assert "interrupted: run it again" in said
    assert "Traceback" not in said
    desk.run("replay")
    assert desk.values() == Counter(b"%d" % number for number in range(1500))


def test_notes_about_letters_that_are_gone_are_taken_away(desk, kafka):
    desk.write([desk.letter(b"old")])
    desk.run("replay")
    with closing(KafkaAdminClient(bootstrap_servers=kafka.address)) as admin:
        topic = desk.settings.dead_letters_topic
        admin.delete_records({TopicPartition(topic, partition): -1 for partition in (0, 1)})
    desk.write([desk.letter(b"new")])
    desk.run("replay")
    notes = [(record.key, record.value is None) for record in read_all(desk.settings, f"{topic}.replayed")]
    assert [gone for _, gone in notes] == [False, False, True]
    assert notes[2][0] == notes[0][0]
    assert desk.values() == {b"old": 1, b"new": 1}


def test_a_topic_of_dead_letters_made_anew_begins_anew(desk, kafka):
    desk.write([desk.letter(b"old")])
    desk.run("replay")
    with closing(KafkaAdminClient(bootstrap_servers=kafka.address)) as admin:
        admin.delete_topics([desk.settings.dead_letters_topic])
        while desk.settings.dead_letters_topic in admin.list_topics():
            pass
        admin.create_topics({desk.settings.dead_letters_topic: {"num_partitions": 2, "replication_factor": 1}})
    desk.write([desk.letter(b"new")])
    assert "1 dead letters put back" in desk.run("replay")[0]


def test_the_list_shows_every_letter_and_counts_by_reason(desk):
    desk.write(desk.letter(b"%d" % count, ("not-json", "empty")[count % 2]) for count in range(4))
    desk.write([Message(desk.settings.dead_letters_topic, b"k\x1b[2J", b"v")])
    desk.run("replay", "--reason", "empty")
    shown = desk.run("list")[0].splitlines()
    assert len(shown) == 5 + 4
    assert sum("put back" in line for line in shown[:5]) == 2
    assert not any("\x1b" in line for line in shown)
    assert "empty: 2, 2 of them put back" in shown
    assert "not-json: 2, 0 of them put back" in shown
    assert "(not written by a monitor): 1, 0 of them put back" in shown
    assert shown[-1] == f"{desk.settings.dead_letters_topic}: 5, 2 of them put back"
    lines, summary = desk.run("list", "--json", "--reason", "empty")
    found = [orjson.loads(line) for line in lines.splitlines()]
    assert {unpack(letter["value"]) for letter in found} == {b"1", b"3"}
    assert all(letter["replayed"] for letter in found)
    assert "empty: 2" in summary


def test_an_unknown_reason_is_refused_with_those_that_there_are(desk):
    for command in ("list", "replay"):
        _, told = desk.run(command, "--reason", "bad-luck", code=2)
        assert "'bad-luck' is not one of" in told
        assert "'not-json'" in told


def test_topics_that_are_missing_are_named(desk):
    desk = Desk(settings_on(desk.settings.bootstrap_servers), "at-least-once")
    for command in (["list"], ["replay"], ["replay", "--dry-run"]):
        done = CliRunner().invoke(cli.commands, ["dead-letters", *command], env=desk.environment)
        assert desk.settings.dead_letters_topic in str(done.exception)
        assert "topics create" in str(done.exception)


@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_broker_that_does_not_answer_is_named(command):
    environment = {"MONITOR_BOOTSTRAP_SERVERS": "127.0.0.1:1", "MONITOR_BROKER_TIMEOUT_SECONDS": "0.5"}
    done = CliRunner().invoke(cli.commands, ["dead-letters", command], env=environment)
    assert isinstance(done.exception, BrokerError)
    assert "no Kafka answers at 127.0.0.1:1" in str(done.exception)


@pytest.mark.parametrize("arguments", [[], ["list"], ["replay"]])
def test_every_command_has_help(arguments):
    done = CliRunner().invoke(cli.commands, ["dead-letters", *arguments, "--help"])
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) >= 5


def test_what_fails_again_comes_back_with_its_rounds(desk, model_file, tmp_path):
    desk.write([Message(desk.settings.beats_topic, b"bed", b"no beat", (("own", b"1"),))])
    with Daemon(desk.settings, model_file, tmp_path / "log") as daemon:
        daemon.wait_until(lambda: daemon.metric("dead_letters_total") == 1, "refused")
        assert "1 dead letters put back" in desk.run("replay")[0]
        daemon.wait_until(lambda: daemon.metric("dead_letters_total") == 2, "refused again")
        daemon.wait_until(lambda: len(read_all(desk.settings, desk.settings.dead_letters_topic)) == 2, "delivered")
        assert daemon.terminate() == 0
    _, again = sorted(
        (orjson.loads(line) for line in desk.run("list", "--json")[0].splitlines()), key=lambda found: found["rounds"]
    )
    assert (again["rounds"], again["replayed"], again["reason"]) == (1, False, "not-json")
    assert again["headers"] == [["own", {"text": "1"}]]
