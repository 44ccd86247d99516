"""`ecg-monitor dead-letters list` and `replay` on a running broker."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import orjson
import pytest
from click.testing import CliRunner
from kafka import KafkaAdminClient

from monitor import cli
from monitor.errors import BrokerError
from monitor.records.record import Message
from tests.conftest import settings_on
from tests.deadletters.test_letter import unpack
from tests.e2e.daemon import read_all
from tests.e2e.dead_letter_commands import DeadLetterCommands, put_back


def test_a_replay_puts_every_letter_back_once_and_unchanged(dead_letters):
    odd = (("reason", b"\x00\xff"), ("replays", b"often"), ("", b""), ("detail", b"mine"))
    given = [(b"k\xff", b"\x00" * 9, odd, 0), (None, None, (), 1), (b"", b"", (("replays", b"1"),), 1)]
    dead_letters.write(
        dead_letters.letter(value, key=key, headers=headers, partition=at) for key, value, headers, at in given
    )
    output, _ = dead_letters.run("replay")
    assert output == f"dead letters put back onto {dead_letters.settings.beats_topic}: 3\n"
    found = {record.key: record for record in dead_letters.beats()}
    for key, value, headers, partition in given:
        record = found.pop(key)
        own = headers[:-1] if headers[-1:] == (("replays", b"1"),) else headers
        rounds = b"2" if own != headers else b"1"
        assert (record.value, record.partition) == (value, partition)
        assert tuple(record.headers) == (*own, ("replays", rounds))
    assert not found
    refused = {
        record.key: record.timestamp
        for record in read_all(dead_letters.settings, dead_letters.settings.dead_letters_topic)
    }
    assert {record.key: record.timestamp for record in dead_letters.beats()} == refused
    assert put_back(dead_letters.run("replay")[0]) == 0
    assert len(dead_letters.beats()) == 3


def test_reasons_can_be_replayed_in_any_order_and_no_letter_twice(dead_letters):
    dead_letters.write(
        dead_letters.letter(b"%d" % count, ("not-json", "empty", "no-key")[count % 3]) for count in range(30)
    )
    assert put_back(dead_letters.run("replay", "--reason", "empty")[0]) == 10
    dead_letters.write([dead_letters.letter(b"late", "empty")])
    assert put_back(dead_letters.run("replay", "--reason", "empty")[0]) == 1
    output, _ = dead_letters.run("replay")
    assert put_back(output) == 20
    assert "put back before: 11" in output
    assert dead_letters.values() == Counter([b"late", *(b"%d" % count for count in range(30))])


def test_a_dry_run_prints_the_same_and_changes_nothing(dead_letters):
    dead_letters.write([dead_letters.letter(b"1"), dead_letters.letter(b"2", topic="elsewhere")])
    before = topics(dead_letters)
    output, stderr = dead_letters.run("replay", "--dry-run")
    assert topics(dead_letters) == before
    assert put_back(output) == 1
    assert not dead_letters.beats()
    really, again = dead_letters.run("replay")
    assert really == output.replace("that would be put back", "put back")
    assert again == stderr
    assert put_back(dead_letters.run("replay", "--dry-run")[0]) == 0


def topics(dead_letters):
    with closing(KafkaAdminClient(bootstrap_servers=dead_letters.settings.bootstrap_servers)) as admin:
        return set(admin.list_topics())


def test_letters_that_must_stay_are_reported_and_counted_and_can_be_replayed_later(dead_letters):
    tired = dead_letters.letter(b"tired", headers=(("replays", b"3"),))
    lacking = dead_letters.letter(None, "too-large")
    lacking = Message(lacking.topic, b"k", None, (*lacking.headers, ("omitted", b"value, 9 bytes")))
    foreign = Message(dead_letters.settings.dead_letters_topic, b"k", b"v", (("reason", b"mine"),))
    dead_letters.write([tired, lacking, foreign, dead_letters.letter(b"other", topic="other.beats")])
    output, stderr = dead_letters.run("replay")
    assert output == (
        f"dead letters put back onto {dead_letters.settings.beats_topic}: 0; incomplete: 1; from another topic: 1; "
        "past the limit of rounds: 1; not written by a monitor: 1\n"
    )
    assert "was put back 3 times and failed again" in stderr
    assert f"the record itself stands at {dead_letters.settings.beats_topic}/0 offset 7" in stderr
    assert "came from other.beats" in stderr
    assert put_back(dead_letters.run("replay", "--max-rounds", "4")[0]) == 1
    assert dead_letters.values() == {b"tired": 1}


def test_without_the_original_partition_the_key_decides(dead_letters):
    dead_letters.write([dead_letters.letter(b"v", partition=9)])
    dead_letters.run("replay")
    assert dead_letters.values() == {b"v": 1}


def test_letters_that_are_too_old_for_the_monitor_stay(dead_letters):
    dead_letters.write([dead_letters.letter(b"v")])
    dead_letters.environment["MONITOR_MAX_AGE_SECONDS"] = "0.001"
    output, stderr = dead_letters.run("replay")
    assert "too old to be judged: 1" in output
    assert "MONITOR_MAX_AGE_SECONDS" in stderr
    assert not dead_letters.beats()


def test_only_the_first_messages_of_a_kind_are_printed(dead_letters):
    dead_letters.write(dead_letters.letter(b"v", topic="other.beats") for _ in range(15))
    output, stderr = dead_letters.run("replay")
    assert "from another topic: 15" in output
    assert len(stderr.splitlines()) == 11


def test_the_list_shows_every_letter_and_counts_by_reason(dead_letters):
    dead_letters.write(dead_letters.letter(b"%d" % count, ("not-json", "empty")[count % 2]) for count in range(4))
    dead_letters.write([Message(dead_letters.settings.dead_letters_topic, b"k\x1b[2J", b"v")])
    dead_letters.run("replay", "--reason", "empty")
    shown = dead_letters.run("list")[0].splitlines()
    assert len(shown) == 5 + 4
    assert sum("put back" in line for line in shown[:5]) == 2
    assert not any("\x1b" in line for line in shown)
    assert "empty: 2, 2 of them put back" in shown
    assert "not-json: 2, 0 of them put back" in shown
    assert "(not written by a monitor): 1, 0 of them put back" in shown
    assert shown[-1] == f"{dead_letters.settings.dead_letters_topic}: 5, 2 of them put back"
    lines, summary = dead_letters.run("list", "--json", "--reason", "empty")
    found = [orjson.loads(line) for line in lines.splitlines()]
    assert {unpack(letter["value"]) for letter in found} == {b"1", b"3"}
    assert all(letter["replayed"] for letter in found)
    assert "empty: 2" in summary


def test_an_unknown_reason_is_refused_with_the_valid_ones(dead_letters):
    for command in ("list", "replay"):
        _, stderr = dead_letters.run(command, "--reason", "bad-luck", code=2)
        assert "'bad-luck' is not one of" in stderr
        assert "'not-json'" in stderr


def test_topics_that_are_missing_are_named(dead_letters):
    dead_letters = DeadLetterCommands(settings_on(dead_letters.settings.bootstrap_servers))
    for command in (["list"], ["replay"], ["replay", "--dry-run"]):
        done = CliRunner().invoke(cli.commands, ["dead-letters", *command], env=dead_letters.environment)
        assert dead_letters.settings.dead_letters_topic in str(done.exception)
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


def test_the_list_can_be_narrowed_by_key_time_and_number(dead_letters):
    dead_letters.write(dead_letters.letter(b"%d" % count, key=b"bed %d" % (count % 2)) for count in range(6))
    output, _ = dead_letters.run("list", "--key", "bed 1")
    assert output.count("'bed 1'") == 3
    assert "'bed 0'" not in output
    output, _ = dead_letters.run("list", "--limit", "2")
    lines = output.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["0/4", "0/5"] or len(lines) == 4
    assert lines[-2:] == [
        "not-json: 6, 0 of them put back", f"{dead_letters.settings.dead_letters_topic}: 6, 0 of them put back"
    ]  # fmt: skip
    assert dead_letters.run("list", "--since", "2999-01-01")[0].splitlines()[-1].endswith(": 0, 0 of them put back")
    assert dead_letters.run("list", "--since", "1999-01-01T00:00:00Z", "--key", "bed 0")[0].count("'bed 0'") == 3
    assert "'soon' is not a time; a time looks like" in dead_letters.run("list", "--since", "soon", code=2)[1]
