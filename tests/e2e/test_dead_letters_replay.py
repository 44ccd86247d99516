"""A replay of dead letters that is killed, interrupted, refused or overtaken puts each letter back once."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import closing, contextmanager

import orjson
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from monitor import broker
from monitor.demo.embedded_broker import stop
from monitor.records.record import Message
from tests.e2e.daemon import Daemon, read_all
from tests.e2e.dead_letter_commands import put_back

LIMIT_SECONDS = 90
MANY = 16_000  # letters: a replay of so many is still going on when the first of them are seen


class Overtaken(broker.Replayer):
    """Another replay comes and goes when this one has just given up its producer."""

    meddle = None

    def close(self):
        super().close()
        meddle, Overtaken.meddle = Overtaken.meddle, None
        if meddle:
            meddle()


@pytest.mark.usefixtures("kafka")
def test_a_replay_that_was_replaced_while_it_had_no_producer_duplicates_nothing(dead_letters, monkeypatch):
    dead_letters.limit_beats(10_000)
    dead_letters.write(dead_letters.letter(b"x" * 20_000 if count == 3 else b"%d" % count) for count in range(8))
    monkeypatch.setattr(broker, "Replayer", Overtaken)
    Overtaken.meddle = lambda: dead_letters.run("replay", code=1)
    output, _ = dead_letters.run("replay", code=1)
    assert put_back(output) == 0
    assert "put back before: 7" in output
    assert dead_letters.values() == Counter(b"%d" % count for count in range(8) if count != 3)


@pytest.mark.usefixtures("kafka")
def test_a_letter_that_the_broker_refuses_does_not_block_the_others(dead_letters):
    dead_letters.limit_beats(10_000)
    dead_letters.write(dead_letters.letter(b"x" * 20_000 if count == 3 else b"%d" % count) for count in range(8))
    output, stderr = dead_letters.run("replay", code=1)
    assert put_back(output) == 7
    assert "refused by the broker: 1" in output
    assert "messagesizetoolarge" in stderr.lower().replace(" ", "")
    assert dead_letters.values() == Counter(b"%d" % count for count in range(8) if count != 3)


@pytest.mark.usefixtures("kafka")
def test_a_replay_killed_at_any_moment_goes_on_where_it_was(dead_letters):
    count, kills = 1500, 0
    dead_letters.write(dead_letters.letter(b"%d" % number, key=b"bed %d" % (number % 20)) for number in range(count))
    for share in (1, 200, 500, 900):
        process = dead_letters.start()
        while process.poll() is None and len(dead_letters.beats()) < share:
            pass
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 3
    dead_letters.run("replay")
    assert dead_letters.values() == Counter(b"%d" % number for number in range(count))


@contextmanager
def started(dead_letters):
    """A replay that has put a letter back, in a transaction that is over.

    The consumer that notices is ready before the replay begins: later it would take as long as the whole replay.
    """
    topic, address = dead_letters.settings.beats_topic, dead_letters.settings.bootstrap_servers
    with closing(KafkaConsumer(bootstrap_servers=address, isolation_level="read_committed")) as consumer:
        places = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)]
        assert not any(consumer.end_offsets(places).values())
        process = dead_letters.start()
        try:
            while not any(consumer.end_offsets(places).values()):
                assert process.poll() is None
            yield process
        finally:
            stop(process, 5)


@pytest.mark.usefixtures("kafka")
def test_a_second_replay_takes_over_and_the_first_reports_it(dead_letters):
    dead_letters.write(dead_letters.letter(b"%d" % number) for number in range(MANY))
    with started(dead_letters) as first:
        first.send_signal(signal.SIGSTOP)
        output, _ = dead_letters.run("replay")
        first.send_signal(signal.SIGCONT)
        first_output, _ = first.communicate(timeout=LIMIT_SECONDS)
    assert "put back before" in output
    assert first.returncode == 1
    assert "has started and goes on where this one was" in first_output
    assert "Traceback" not in first_output
    assert dead_letters.values() == Counter(b"%d" % number for number in range(MANY))


@pytest.mark.usefixtures("kafka")
def test_ctrl_c_reports_the_progress_and_leaves_no_open_transaction(dead_letters):
    dead_letters.write(dead_letters.letter(b"%d" % number) for number in range(MANY))
    with started(dead_letters) as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1
    assert "interrupted: run it again" in output
    assert "Traceback" not in output
    dead_letters.run("replay")
    assert dead_letters.values() == Counter(b"%d" % number for number in range(MANY))


def test_ledger_entries_of_deleted_letters_are_removed(dead_letters, kafka):
    dead_letters.write([dead_letters.letter(b"old")])
    dead_letters.run("replay")
    with closing(KafkaAdminClient(bootstrap_servers=kafka.address)) as admin:
        topic = dead_letters.settings.dead_letters_topic
        admin.delete_records({TopicPartition(topic, partition): -1 for partition in (0, 1)})
    dead_letters.write([dead_letters.letter(b"new")])
    dead_letters.run("replay")
    entries = [(record.key, record.value is None) for record in read_all(dead_letters.settings, f"{topic}.replayed")]
    assert [gone for _, gone in entries] == [False, False, True]
    assert entries[2][0] == entries[0][0]
    assert dead_letters.values() == {b"old": 1, b"new": 1}


def test_a_dead_letter_topic_that_was_created_again_has_no_ledger_entries(dead_letters, kafka):
    dead_letters.write([dead_letters.letter(b"old")])
    dead_letters.run("replay")
    with closing(KafkaAdminClient(bootstrap_servers=kafka.address)) as admin:
        admin.delete_topics([dead_letters.settings.dead_letters_topic])
        while dead_letters.settings.dead_letters_topic in admin.list_topics():
            pass
        admin.create_topics({dead_letters.settings.dead_letters_topic: {"num_partitions": 2, "replication_factor": 1}})
    dead_letters.write([dead_letters.letter(b"new")])
    assert put_back(dead_letters.run("replay")[0]) == 1


def test_a_letter_that_fails_again_comes_back_with_its_rounds(dead_letters, model_file, tmp_path):
    dead_letters.write([Message(dead_letters.settings.beats_topic, b"bed", b"no beat", (("own", b"1"),))])
    with Daemon(dead_letters.settings, model_file, tmp_path / "log") as daemon:
        daemon.wait_until(lambda: daemon.metric("dead_letters_total") == 1, "refused")
        assert put_back(dead_letters.run("replay")[0]) == 1
        daemon.wait_until(lambda: daemon.metric("dead_letters_total") == 2, "refused again")
        daemon.wait_until(
            lambda: len(read_all(dead_letters.settings, dead_letters.settings.dead_letters_topic)) == 2, "delivered"
        )
        assert daemon.terminate() == 0
    _, again = sorted(
        (orjson.loads(line) for line in dead_letters.run("list", "--json")[0].splitlines()),
        key=lambda found: found["rounds"],
    )
    assert (again["rounds"], again["replayed"], again["reason"]) == (1, False, "not-json")
    assert again["headers"] == [["own", {"text": "1"}]]
