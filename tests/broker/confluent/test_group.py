"""What a rebalance and the answer to a commit change, without a broker."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from monitor.broker.client import ClientError, Failure, Membership
from monitor.broker.confluent import group
from monitor.broker.confluent.connecting import ConnectionErrors
from monitor.broker.confluent.group import CommitAnswers, ConfluentGroup, Rebalances
from monitor.broker.limits import StepLimit
from monitor.errors import RefusedError
from monitor.settings import Settings
from tests.broker.confluent.scripted import ScriptedAdmin

LIMIT = StepLimit(100, 1000)


class Scripted:
    """A consumer that a test rebalances; it keeps which partitions it fetches."""

    def __init__(self, *member_ids):
        self.member_ids = list(member_ids)
        self.fetched = []

    def subscribe(self, _topics, **callbacks):
        self.callbacks = callbacks

    def rebalance(self, kind, *partitions):
        self.callbacks[kind](self, [TopicPartition("beats", partition) for partition in partitions])

    def memberid(self):
        return self.member_ids[0] if len(self.member_ids) == 1 else self.member_ids.pop(0)

    def consumer_group_metadata(self):
        return b"token"

    def assignment(self):
        return [TopicPartition("beats", partition) for partition in self.fetched]

    def incremental_assign(self, given):
        self.fetched += [tp.partition for tp in given]

    def incremental_unassign(self, given):
        for tp in given:
            self.fetched.remove(tp.partition)


def joined(*member_ids):
    consumer, rebalances = Scripted(*member_ids), Rebalances()
    rebalances.subscribe(consumer, "beats")
    return consumer, rebalances


def test_an_assigned_partition_is_not_fetched_yet():
    consumer, rebalances = joined("one")
    consumer.rebalance("on_assign", 0, 2)
    assert consumer.fetched == []
    assert rebalances.assigned == {0, 2}
    assert (rebalances.changed(), rebalances.changed()) == ({0, 2}, set())
    assert rebalances.is_settled
    assert rebalances.joined == Membership("one", b"token")


@pytest.mark.parametrize("kind", ["on_revoke", "on_lost"])
def test_a_revoked_partition_is_fetched_no_more(kind):
    consumer, rebalances = joined("one")
    consumer.rebalance("on_assign", 0, 1, 2)
    consumer.fetched = [0, 1]
    rebalances.changed()
    consumer.rebalance(kind, 1, 2)
    assert consumer.fetched == [0]
    assert rebalances.assigned == {0}
    assert rebalances.changed() == rebalances.revoked() == {1, 2}
    assert not rebalances.is_settled


def test_a_rebalance_that_changes_nothing_settles_the_group_again():
    consumer, rebalances = joined("one")
    consumer.rebalance("on_assign", 0)
    consumer.rebalance("on_revoke")
    consumer.rebalance("on_assign")
    assert rebalances.is_settled
    assert rebalances.assigned == {0}


@pytest.mark.parametrize("member_ids", [("",), (None,), ("one", "")])
def test_a_token_of_nobody_is_not_kept(member_ids):
    consumer, rebalances = joined(*member_ids)
    consumer.rebalance("on_assign", 0)
    assert rebalances.joined == Membership("", None)


def test_a_void_assignment_must_be_restored_again():
    consumer, rebalances = joined("one")
    consumer.rebalance("on_assign", 0, 1)
    rebalances.changed()
    rebalances.void()
    assert rebalances.changed() == {0, 1}


def test_the_last_answer_to_a_commit_counts():
    answers, late = CommitAnswers(), KafkaError(27)
    answers.unanswered = 2
    answers.hear(late, [])
    assert (answers.unanswered, answers.error) == (1, late)
    answers.hear(None, [TopicPartition("beats", 0)])
    assert (answers.unanswered, answers.error) == (0, None)


def test_a_consumer_that_cannot_be_built_leaves_no_connection(monkeypatch):
    admin = ScriptedAdmin()
    monkeypatch.setattr(group, "connect", lambda settings, _seconds: (admin, ConnectionErrors(settings)))
    with pytest.raises(RefusedError, match=r"session.timeout.ms"):
        ConfluentGroup(Settings(session_timeout_ms=4_000_000), 1)
    assert admin.is_closed


class Reading(Scripted):
    """A consumer that returns one event at a time."""

    def __init__(self):
        super().__init__("one")
        self.events = []

    def close(self):
        pass

    def consume(self, count, _seconds):
        return [self.events.pop(0)] if count and self.events else []


def reading(monkeypatch, *events):
    """A member that reads partition 0, its consumer, and the options that this was built with."""
    built = []
    monkeypatch.setattr(group, "connect", lambda settings, _seconds: (ScriptedAdmin(), ConnectionErrors(settings)))
    monkeypatch.setattr(group, "build", lambda _kind, _settings, options, _errors: built.append(options) or consumer)
    consumer, login = Reading(), {"sasl_username": "monitor", "sasl_password": "s3ntinel"}
    member = ConfluentGroup(Settings(security_protocol="SASL_PLAINTEXT", **login), 1)
    consumer.rebalance("on_assign", 0)
    member.poll(LIMIT)
    member.start({0: 0})
    consumer.events = list(events)
    return member, consumer, built[0]


def test_no_record_after_a_damaged_one_is_returned(monkeypatch):
    damaged, later = Message("beats", 0, 2, error=KafkaError(-199)), Message("beats", 0, 3, b"bed", b"beat")
    member, consumer, _ = reading(monkeypatch, damaged, later)
    with pytest.raises(ClientError) as caught:
        member.poll(LIMIT)
    assert caught.value.failure is Failure.UNREADABLE
    assert consumer.events == [later]


def test_what_is_beyond_the_bytes_of_a_step_comes_with_the_next_ones_and_in_order(monkeypatch):
    junk = [Message("beats", 0, offset, b"bed", b"z" * 60_000) for offset in range(40)]
    member, consumer, _ = reading(monkeypatch)
    consumer.events = [junk]
    consumer.consume = lambda count, _seconds: consumer.events.pop(0) if count > 1 and consumer.events else []
    steps = []
    while not steps or member.has_more():
        steps.append([int(offset) for block in member.poll(StepLimit(100, 2_000_000)) for offset in block.offset])
    assert [offset for step in steps for offset in step] == list(range(40))
    assert max(map(len, steps)) == 5  # each counts 480,000


def test_the_text_of_the_options_of_a_member_has_no_password(monkeypatch):
    *_, options = reading(monkeypatch)
    assert "on_commit" in options
    assert "s3ntinel" in options.values()
    assert "s3ntinel" not in repr(options)
