"""`dead-letters replay` disturbed: killed, overtaken, interrupted, refused; each letter once all the same."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import closing

import orjson
import pytest
from kafka import KafkaAdminClient, TopicPartition

from monitor import broker
from monitor.demo.embedded_broker import stop
from monitor.records.record import Message
from tests.e2e.daemon import Daemon, read_all
from tests.e2e.desk import put_back

LIMIT_SECONDS = 90


class Overtaken(broker.Replayer):
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
    monkeypatch.setattr(broker, "Replayer", Overtaken)
    Overtaken.meddle = lambda: desk.run("replay", code=1)
    said, _ = desk.run("replay", code=1)
    assert put_back(said) == 0
    assert "put back before: 7" in said
    assert desk.values() == Counter(b"%d" % count for count in range(8) if count != 3)


@pytest.mark.usefixtures("kafka")
def test_a_letter_that_the_broker_does_not_take_holds_up_no_other(desk):
    desk.write(desk.letter(b"x" * 1_500_000 if count == 3 else b"%d" % count) for count in range(8))
    said, told = desk.run("replay", code=1)
    assert put_back(said) == 7
    assert "refused by the broker: 1" in said
    assert "MessageSizeTooLarge" in told
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
    assert put_back(desk.run("replay")[0]) == 1


def test_what_fails_again_comes_back_with_its_rounds(desk, model_file, tmp_path):
    desk.write([Message(desk.settings.beats_topic, b"bed", b"no beat", (("own", b"1"),))])
    with Daemon(desk.settings, model_file, tmp_path / "log") as daemon:
        daemon.wait_until(lambda: daemon.metric("dead_letters_total") == 1, "refused")
        assert put_back(desk.run("replay")[0]) == 1
        daemon.wait_until(lambda: daemon.metric("dead_letters_total") == 2, "refused again")
        daemon.wait_until(lambda: len(read_all(desk.settings, desk.settings.dead_letters_topic)) == 2, "delivered")
        assert daemon.terminate() == 0
    _, again = sorted(
        (orjson.loads(line) for line in desk.run("list", "--json")[0].splitlines()), key=lambda found: found["rounds"]
    )
    assert (again["rounds"], again["replayed"], again["reason"]) == (1, False, "not-json")
    assert again["headers"] == [["own", {"text": "1"}]]
