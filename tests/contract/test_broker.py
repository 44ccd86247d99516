"""The contract of `monitor.broker.protocol.Broker`, a case for each of its sentences: Kafka and memory keep it alike.

A case runs in both delivery modes where the mode makes a difference, else in the default one. Without Apache Kafka the
real broker is the embedded one, which lacks transactions and more: the cases that need Apache Kafka are skipped.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from monitor.errors import BrokerError, RewoundError
from monitor.records.record import Assigned, BrokerFacts, Checkpoint, ControlRecord, Message
from monitor.records.stream_time import StreamTime
from tests.conftest import CLIENTS
from tests.contract.broker_cases import (
    NOW_MS,
    Case,
    Seen,
    alert,
    alerts,
    beats,
    make_case,
    poll_all_until,
    poll_until,
    read,
    step,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER_MS = 3_600_000


def _id(*words):
    return "-".join(str(word) for word in words if word != "").replace(" ", "-")


def memory(mode: str = "", *arguments):
    """A parameter of `case`: the broker in memory."""
    return pytest.param(f"memory {mode}".strip(), *arguments, id=_id("memory", mode, *arguments))


def real(mode: str = "", *arguments):
    """Two parameters of `case`: Kafka with each of the two clients."""
    for client in CLIENTS:
        words = " ".join(filter(None, ("real", mode, client)))
        marks = (pytest.mark.kafka, pytest.mark.slow)
        yield pytest.param(words, *arguments, id=_id(words, *arguments), marks=marks)


EXACTLY, AT_LEAST = "exactly-once", "at-least-once"
both_modes = pytest.mark.parametrize(
    "case", [memory(EXACTLY), memory(AT_LEAST), *real(EXACTLY), *real(AT_LEAST)], indirect=True
)
at_least_once = pytest.mark.parametrize("case", [memory(AT_LEAST), *real(AT_LEAST)], indirect=True)
exactly_once = pytest.mark.parametrize("case", [memory(EXACTLY), *real(EXACTLY)], indirect=True)


@pytest.fixture(params=[memory(), *real()])
def case(request) -> Callable[..., Case]:
    """Makes a case whose beats topic holds `values` in partition 0."""

    def make(values=(), *, partitions: int = 1, **overrides) -> Case:
        made = make_case(request, partitions, overrides)
        made.publish(beats(made.settings, values))
        return made

    return make


@pytest.fixture
def with_kafka(request):
    """Apache Kafka for the real cases: the embedded broker has one member a group and keeps no metadata of offsets.

    It also counts the end of a log in batches.
    """
    if request.node.callspec.params["case"].startswith("real"):
        request.getfixturevalue("kafka")


def row(one, value, partition=0):
    return Message(one.settings.state_topic, b"bed", value, partition=partition)


# Reading


def test_records_come_once_in_the_order_of_their_offsets_with_every_column(case):
    one = case()
    topic = one.settings.beats_topic
    one.publish(
        [
            Message(topic, b"bed 1", b"one", (("ward", b"7"), ("ward", b"8")), partition=0),
            Message(topic, b"bed 2", None, partition=0),
            Message(topic, None, b"three", (("empty", b""),), partition=0),
            Message(topic, b"", b"", partition=0),
        ],
        NOW_MS - 4000,
    )
    with closing(one.open()) as broker:
        seen = read(one, broker, 4)
    assert seen.rows == [(0, 0, b"one"), (0, 1, None), (0, 2, b"three"), (0, 3, b"")]
    assert seen.keys == [b"bed 1", b"bed 2", None, b""]
    assert seen.times == [NOW_MS - 4000, NOW_MS - 3000, NOW_MS - 2000, NOW_MS - 1000]
    assert list(map(tuple, seen.headers)) == [(("ward", b"7"), ("ward", b"8")), (), (("empty", b""),), ()]


def test_each_partition_is_read_to_its_end_in_its_own_order(case):
    one = case([b"%d" % number for number in range(4)], partitions=2, batch_size=3)
    one.publish(beats(one.settings, [b"a", b"b", b"c", b"d"], partition=1))
    with closing(one.open()) as broker:
        seen = read(one, broker, 8)
    assert [row for row in seen.rows if row[0] == 0] == [(0, number, b"%d" % number) for number in range(4)]
    assert [value for partition, _, value in seen.rows if partition == 1] == [b"a", b"b", b"c", b"d"]


def test_a_poll_brings_no_more_than_a_batch_and_has_more_says_whether_the_next_one_need_not_wait(case):
    one = case([b"1", b"2", b"3", b"4", b"5"], batch_size=2)
    with closing(one.open()) as broker:
        sizes, more = [], []
        deadline = time.monotonic() + one.limit_seconds
        while sum(sizes) < 5 and time.monotonic() < deadline:
            records = broker.poll()
            if len(records):
                sizes.append(len(records))
                more.append(broker.has_more())
    assert sizes == [2, 2, 1]
    assert more == [True, True, False] or (one.has_no_more and not any(more))  # that client cannot tell


def test_a_poll_without_new_records_returns_none_soon(case):
    one = case()
    with closing(one.open()) as broker:
        poll_until(one, broker, lambda _: broker.joined())
        began = time.monotonic()
        assert len(broker.poll()) == 0
        assert time.monotonic() - began < 20


def test_a_new_group_begins_at_the_first_record_and_learns_so_before_it(case):
    one = case([b"one", b"two"])
    with closing(one.open()) as broker:
        assert len(read(one, broker, 2).assigned) == 1
    with closing(one.open("two")) as broker:
        seen = read(one, broker, 2)
    assert seen.assigned == {0: Assigned(0, None, {}, one.settings.delivery == "exactly-once")}


@pytest.mark.usefixtures("with_kafka")
def test_a_new_group_may_begin_at_the_end_and_stays_there_when_it_comes_back(case):
    one = case([b"one", b"two"], offset_reset="latest", commit_interval_ms=0)
    with closing(one.open()) as broker:
        assert poll_until(one, broker, lambda seen: seen.assigned).assigned[0].offset == 2
        poll_until(one, broker, lambda _: broker.joined())
    one.publish(beats(one.settings, [b"three"]))
    with closing(one.open()) as broker:
        assert read(one, broker, 1).values == [b"three"]


# Delivering


@pytest.mark.usefixtures("with_kafka")
@both_modes
def test_the_next_member_goes_on_from_the_delivered_offset_stream_time_and_state(case):
    one = case([b"one", b"two", b"three"])
    with closing(one.open()) as broker:
        read(one, broker, 3)
        broker.deliver(step(one, b"alert", row(one, b"open"), at=1, stream_time=76))
        broker.deliver(step(one, b"alert", row(one, b"worse"), at=2, stream_time=77))
    with closing(one.open()) as broker:
        seen = read(one, broker, 1)
    assert seen.rows == [(0, 2, b"three")]
    assert seen.assigned == {
        0: Assigned(2, StreamTime.at(77), {b"bed": b"worse"}, one.settings.delivery == "exactly-once")
    }


@both_modes
def test_state_stays_in_its_partition_and_is_gone_once_it_is_deleted(case):
    one = case([b"one"], partitions=2)
    with closing(one.open()) as broker:
        poll_until(one, broker, lambda seen: len(seen.assigned) == 2)
        rows = row(one, b"open", 0), row(one, b"open", 1)
        broker.deliver(Checkpoint(rows, offsets={0: 0, 1: 0}))
        broker.deliver(Checkpoint((), (row(one, None, 0),), offsets={0: 0}))
    with closing(one.open()) as broker:
        seen = poll_until(one, broker, lambda seen: len(seen.assigned) == 2)
    assert {partition: found.state for partition, found in seen.assigned.items()} == {0: {}, 1: {b"bed": b"open"}}


def test_what_was_not_delivered_is_read_again(case):
    one = case([b"one", b"two"])
    with closing(one.open()) as broker:
        read(one, broker, 2)
    with closing(one.open()) as broker:
        assert read(one, broker, 2).values == [b"one", b"two"]


def test_messages_arrive_with_key_value_and_headers_nulls_included(case):
    one = case([b"one"])
    topic = one.settings.alerts_topic
    messages = (
        Message(topic, b"key", b"value", (("reason", b"because"), ("reason", b""))),
        Message(topic, b"key", None),
        Message(topic, None, b"value"),
        Message(topic, None, None, (("both", b"null"),)),
    )
    with closing(one.open()) as broker:
        read(one, broker, 1)
        broker.deliver(Checkpoint(messages, offsets={0: 1}))
    assert one.sent(topic) == [(message.key, message.value, message.headers) for message in messages]


@pytest.mark.parametrize("case", [memory(EXACTLY), memory(AT_LEAST), *real()], indirect=True)
def test_the_same_checkpoint_delivered_twice_is_sent_once(case):
    one = case([b"one"])
    checkpoint = step(one, b"alert", at=1)
    with closing(one.open()) as broker:
        read(one, broker, 1)
        broker.deliver(checkpoint)
        broker.deliver(checkpoint)
        assert alerts(one) == [b"alert"]


@both_modes
def test_a_checkpoint_that_was_begun_is_sent_once_while_reading_goes_on(case):
    one = case([b"one", b"two", b"three"])
    with closing(one.open()) as broker:
        read(one, broker, 3)
        first = step(one, b"first", at=1)
        broker.begin(first)
        broker.begin(first)
        assert broker.poll().assigned == {}
        broker.deliver(first)
        broker.deliver(first)
        assert one.committed() == {0: 1}
        second = step(one, b"second", at=2)
        broker.begin(second)
        broker.deliver(second)
    assert alerts(one) == [b"first", b"second"]
    with closing(one.open()) as broker:
        assert read(one, broker, 1).values == [b"three"]


@both_modes
def test_another_checkpoint_than_the_one_that_was_begun_is_refused(case):
    one = case([b"one", b"two"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        read(one, broker, 2)
        first, other = step(one, b"first", at=1), step(one, b"other", at=2)
        broker.begin(first)
        for call, checkpoint in ((broker.begin, other), (broker.deliver, other), (broker.deliver, Checkpoint())):
            with pytest.raises(ValueError, match="another checkpoint was begun"):
                call(checkpoint)
        broker.deliver(first)
        broker.deliver(other)
    assert alerts(one) == [b"first", b"other"]
    assert one.committed() == {0: 2}


@both_modes
def test_a_checkpoint_that_was_begun_is_delivered_with_its_offsets_when_the_member_leaves(case):
    one = case([b"one", b"two"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        read(one, broker, 2)
        broker.begin(step(one, b"alert", at=1))
    assert alerts(one) == [b"alert"]
    assert one.committed() == {0: 1}


@pytest.mark.usefixtures("with_kafka")
def test_offsets_without_messages_follow_when_the_member_leaves(case):
    one = case([b"one", b"two"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        read(one, broker, 2)
        broker.deliver(Checkpoint(offsets={0: 1}, stream_times={0: StreamTime.at(77)}))
    with closing(one.open()) as broker:
        assert read(one, broker, 1).assigned == {
            0: Assigned(1, StreamTime.at(77), {}, atomic=one.settings.delivery == "exactly-once")
        }


def test_offsets_without_messages_follow_with_the_polls(case):
    one = case([b"one", b"two"], commit_interval_ms=0)
    with closing(one.open()) as broker:
        read(one, broker, 2)
        broker.deliver(Checkpoint(offsets={0: 1}))
        poll_until(one, broker, lambda _: one.committed() == {0: 1})


def test_offsets_without_messages_follow_with_the_next_checkpoint(case):
    one = case([b"one", b"two"], partitions=2, commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        poll_until(one, broker, lambda seen: len(seen.rows) == len(seen.assigned) == 2)
        broker.deliver(Checkpoint(offsets={0: 2}))
        broker.deliver(step(one, b"alert", at=0, partition=1))
        assert one.committed() == {0: 2, 1: 0}


# Failures


@pytest.mark.parametrize(
    "case",
    # exactly once, Kafka never fails without a rewind: what became of a transaction is not known then
    [memory(EXACTLY), memory(AT_LEAST), *real(AT_LEAST)],
    indirect=True,
)
@pytest.mark.parametrize("begins", [False, True])
def test_after_a_failure_the_same_checkpoint_goes_through_and_is_sent_once(case, monkeypatch, begins):
    one = case([b"one", b"two"], commit_interval_ms=NEVER_MS)
    checkpoint = step(one, b"alert", at=1)
    with closing(one.open()) as broker:
        read(one, broker, 2)
        broker.facts()
        with one.without_answers(broker), monkeypatch.context() as patch:
            patch.setattr("monitor.broker.writing.producer.WAIT_SECONDS", 0.0)
            if begins:
                broker.begin(checkpoint)
            with pytest.raises(BrokerError) as caught:
                broker.deliver(checkpoint)
        assert not isinstance(caught.value, RewoundError)
        assert one.committed() == {}
        broker.deliver(checkpoint)
        assert broker.facts() == BrokerFacts(commits=1, commit_failures=1)
        assert one.committed() == {0: 1}
        assert len(broker.poll().assigned) == 0
    assert alerts(one) == [b"alert"]


def undo_next_delivery(one, broker, how):
    """Either way it raises RewoundError; a transaction is aborted while its member stays in the group."""
    if how == "evicted":
        one.evict(broker)
    else:
        one.abort_next(broker)


def deliver_in_the_end(one, broker, checkpoint):
    """Deliver: a member that Kafka has put out may learn it only at a later try, and is rewound once more."""
    deadline = time.monotonic() + one.limit_seconds
    while True:
        try:
            broker.deliver(replace(checkpoint))
        except RewoundError:
            assert time.monotonic() < deadline
            poll_until(one, broker, lambda _: broker.joined())
        else:
            return


@pytest.mark.parametrize(
    ("case", "how"),
    [
        memory(EXACTLY, "evicted"),
        memory(EXACTLY, "aborted"),
        memory(AT_LEAST, "evicted"),
        memory(AT_LEAST, "aborted"),
        *real(EXACTLY, "evicted"),
        *real(EXACTLY, "aborted"),
        *real(AT_LEAST, "evicted"),  # without transactions, Kafka rewinds for no other reason
    ],
    indirect=["case"],
)
@pytest.mark.parametrize("begins", [False, True])
def test_after_a_rewind_all_since_the_last_commit_is_read_again_and_assigned_says_so_first(case, how, begins):
    one = case([b"one", b"two", b"three"], commit_interval_ms=NEVER_MS)
    is_atomic = one.settings.delivery == "exactly-once"
    with closing(one.open()) as broker:
        read(one, broker, 3)
        broker.deliver(step(one, b"first", row(one, b"open"), at=1, stream_time=7))
        broker.facts()
        second = step(one, b"second", row(one, b"worse"), at=3, stream_time=8)
        undo_next_delivery(one, broker, how)
        if begins:
            broker.begin(second)
        with pytest.raises(RewoundError):
            broker.deliver(second)
        assert broker.facts() == BrokerFacts(commit_failures=1, rewinds=1)
        assert one.committed() == {0: 1}
        seen = read(one, broker, 2)
        assert seen.rows == [(0, 1, b"two"), (0, 2, b"three")]
        assert seen.assigned == {
            0: Assigned(1, StreamTime.at(7), {b"bed": b"open" if is_atomic else b"worse"}, is_atomic)
        }
        deliver_in_the_end(one, broker, second)
        assert one.committed() == {0: 3}
    first, *others = alerts(one)
    assert (first, set(others)) == (b"first", {b"second"})
    assert len(others) == 1 or not is_atomic


@exactly_once
def test_exactly_once_nothing_of_a_checkpoint_is_visible_without_its_offsets(case):
    one = case([b"one"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        read(one, broker, 1)
        one.evict(broker)
        with pytest.raises(RewoundError):
            broker.deliver(step(one, b"alert", row(one, b"open"), at=1))
        assert one.committed() == {}
        assert alerts(one) == one.sent(one.settings.state_topic) == []


@at_least_once
def test_at_least_once_messages_go_before_the_offsets_and_deletions_of_state_after_them(case):
    one = case([b"one", b"two"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        read(one, broker, 2)
        broker.deliver(step(one, b"first", row(one, b"open"), at=1))
        one.evict(broker)
        with pytest.raises(RewoundError):
            broker.deliver(Checkpoint((alert(one, b"second"),), (row(one, None),), {0: 2}))
        assert alerts(one) == [b"first", b"second"]
        assert one.committed() == {0: 1}
        assert [value for _, value, _ in one.sent(one.settings.state_topic)] == [b"open"]


def test_offsets_of_a_checkpoint_that_failed_do_not_follow_when_the_member_leaves(case):
    one = case([b"one"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        read(one, broker, 1)
        one.evict(broker)
        broker.begin(step(one, b"alert", at=1))
    assert one.committed() == {}


def test_only_a_commit_shows_that_deliveries_work_again(case):
    one = case([b"one"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        read(one, broker, 1)
        assert broker.settled()
        one.evict(broker)
        with pytest.raises(RewoundError):
            broker.deliver(step(one, b"alert", at=1))
        assert not broker.settled()
        read(one, broker, 1)
        assert not broker.settled()
        deliver_in_the_end(one, broker, step(one, b"alert", at=1))
        assert broker.settled()


# The group


@pytest.mark.usefixtures("with_kafka")
def test_a_second_member_takes_partitions_that_the_first_one_has_reported_as_revoked_and_gives_them_back(case):
    one = case([b"one"], partitions=2, commit_interval_ms=NEVER_MS)
    one.publish(beats(one.settings, [b"two"], partition=1))
    seen, others = Seen(), Seen()
    with closing(one.open()) as broker:
        poll_all_until(one, {broker: seen}, lambda: len(seen.rows) == 2)
        broker.deliver(step(one, b"alert", at=1))
        with closing(one.open("two")) as other:
            both = {broker: seen, other: others}
            poll_all_until(one, both, lambda: others.assigned)
            (moved,) = others.assigned
            assert moved in seen.revoked  # of the other partition a member may lose sight meanwhile
            poll_all_until(one, both, lambda: seen.assigned.keys() == {1 - moved})
            assert others.assigned[moved].offset == (1 if moved == 0 else 0)
            poll_all_until(one, both, lambda: moved == 0 or others.rows)
            assert others.rows == ([] if moved == 0 else [(1, 0, b"two")])
            poll_all_until(one, both, lambda: broker.joined() and other.joined())
            poll_all_until(one, both, lambda: broker.lag().keys() == {1 - moved} and other.lag().keys() == {moved})
        poll_all_until(one, {broker: seen}, lambda: len(seen.assigned) == 2)


@pytest.mark.parametrize(
    ("case", "begins"),
    [
        memory(EXACTLY, False),
        memory(EXACTLY, True),
        memory(AT_LEAST, False),
        memory(AT_LEAST, True),
        *real(EXACTLY, True),
        *real(AT_LEAST, False),
    ],
    indirect=["case"],
)
@pytest.mark.usefixtures("with_kafka")
def test_offsets_of_a_partition_that_was_revoked_meanwhile_are_not_committed(case, begins):
    one = case([b"one"], partitions=2, commit_interval_ms=NEVER_MS)
    one.publish(beats(one.settings, [b"two"], partition=1))
    seen, others = Seen(), Seen()
    with closing(one.open()) as broker, closing(one.open("two")) as other:
        poll_all_until(one, {broker: seen}, lambda: len(seen.rows) == 2)
        both = {broker: seen, other: others}
        poll_all_until(one, both, lambda: others.assigned and broker.joined() and other.joined())
        poll_all_until(one, both, lambda: len(seen.assigned) == 1)
        (moved,) = others.assigned
        checkpoint = Checkpoint((alert(one, b"alert"),), (), {0: 1, 1: 1})
        if begins:
            broker.begin(checkpoint)
        broker.deliver(checkpoint)
        assert one.committed().get(moved, 0) == 0  # where the other member began
        assert one.committed()[1 - moved] == 1


@pytest.mark.usefixtures("with_kafka")
def test_a_member_without_partitions_has_joined_and_lacks_nothing(case):
    one = case([b"one"])
    seen, others = Seen(), Seen()
    with closing(one.open()) as broker:
        poll_all_until(one, {broker: seen}, lambda: seen.rows)
        with closing(one.open("two")) as other:
            assert not other.joined()
            poll_all_until(one, {broker: seen, other: others}, lambda: other.joined() and broker.joined())
            assert others.assigned == other.lag() == {}
            assert not other.has_more()
            assert other.settled()


# In memory only: Kafka may as well give the partition back to the member that it has put out.
@pytest.mark.parametrize("case", [memory()], indirect=True)
def test_a_member_whose_partition_another_one_has_meanwhile_lacks_nothing_either(case):
    one = case([b"one"], commit_interval_ms=NEVER_MS)
    seen, others = Seen(), Seen()
    with closing(one.open()) as broker, closing(one.open("two")) as other:
        read(one, broker, 1)
        one.evict(broker)
        poll_all_until(one, {other: others}, lambda: others.rows)
        with pytest.raises(RewoundError):
            broker.deliver(step(one, b"alert", at=1))
        poll_all_until(one, {broker: seen, other: others}, lambda: seen.revoked and broker.joined())
        assert seen.revoked == [0]
        assert broker.settled()


def test_a_member_that_the_group_put_out_begins_again_at_the_committed_offset(case):
    one = case([b"one", b"two"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        read(one, broker, 2)
        broker.deliver(step(one, b"alert", at=1))
        one.evict(broker)
        seen = poll_until(one, broker, lambda seen: seen.rows)
    assert seen.assigned[0].offset == 1
    assert seen.rows == [(0, 1, b"two")]


def test_a_member_has_joined_once_it_reads_and_not_while_its_partitions_are_to_be_assigned_again(case):
    one = case([b"one"])
    with closing(one.open()) as broker:
        assert not broker.joined()
        read(one, broker, 1)
        assert broker.joined()
        one.evict(broker)
        with pytest.raises(RewoundError):
            broker.deliver(step(one, b"alert", at=1))
        assert not broker.joined()
        read(one, broker, 1)
        assert broker.joined()


# Profiles


def profile(one, value, source=b"bed", partition=0):
    return Message(one.settings.profiles_topic, source, value, partition=partition)


def begun_again(one, *, at=3, read_from=1, rows=()):
    """Let a member read three records and deliver with profiles."""
    with closing(one.open(profiles=True)) as broker:
        read(one, broker, 3)
        broker.deliver(replace(step(one, b"alert", *rows, at=at, stream_time=77), read_from={0: read_from}))


@both_modes
@pytest.mark.usefixtures("with_kafka")
def test_the_last_profile_of_each_source_comes_with_its_partition(case):
    one = case([b"one"], partitions=2)
    with closing(one.open(profiles=True)) as broker:
        poll_until(one, broker, lambda seen: len(seen.assigned) == 2)
        rows = (
            profile(one, b"old"),
            profile(one, b"new"),
            profile(one, b"gone", b"other"),
            profile(one, b"1", partition=1),
        )
        broker.deliver(Checkpoint(rows, offsets={0: 0, 1: 0}))
        broker.deliver(Checkpoint((), (profile(one, None, b"other"),), offsets={0: 0}))
    with closing(one.open(profiles=True)) as broker:
        seen = poll_until(one, broker, lambda seen: len(seen.assigned) == 2)
    found = {partition: assigned.profiles for partition, assigned in seen.assigned.items()}
    assert found == {0: {b"bed": b"new"}, 1: {b"bed": b"1"}}


@both_modes
@pytest.mark.usefixtures("with_kafka")
def test_a_partition_is_read_from_where_its_profiles_need_it_and_goes_on_at_the_committed_offset(case):
    one = case([b"one", b"two", b"three", b"four"], batch_size=3)
    begun_again(one, rows=(row(one, b"open"), profile(one, b"profile")))
    assert one.committed() == {0: 3}
    is_atomic = one.settings.delivery == "exactly-once"
    for _ in range(2):  # the second member commits nothing but what it found
        with closing(one.open(profiles=True)) as broker:
            seen = read(one, broker, 3)
        assert seen.rows == [(0, 1, b"two"), (0, 2, b"three"), (0, 3, b"four")]
        found = Assigned(3, StreamTime.at(77), {b"bed": b"open"}, is_atomic, {b"bed": b"profile"}, 1)
        assert seen.assigned == {0: found}


@pytest.mark.usefixtures("with_kafka")
def test_without_profiles_none_are_read_and_no_record_comes_again(case):
    one = case([b"one", b"two", b"three", b"four"], batch_size=3)
    begun_again(one, rows=(profile(one, b"profile"),))
    is_atomic = one.settings.delivery == "exactly-once"
    with closing(one.open()) as broker:
        seen = read(one, broker, 1)
    assert seen.assigned == {0: Assigned(3, StreamTime.at(77), {}, is_atomic)}
    assert seen.assigned[0].read_from == 3
    with closing(one.open(profiles=True)) as broker:  # what was read meanwhile is in no profile
        assert read(one, broker, 1).assigned[0].read_from == 3


@pytest.mark.usefixtures("with_kafka")
def test_where_profiles_begin_follows_with_offsets_that_have_no_messages(case):
    one = case([b"one", b"two", b"three"], commit_interval_ms=0)
    with closing(one.open(profiles=True)) as broker:
        read(one, broker, 3)
        broker.deliver(Checkpoint(offsets={0: 2}, read_from={0: 1}))
        poll_until(one, broker, lambda _: one.committed() == {0: 2})
        broker.deliver(Checkpoint(offsets={0: 3}, read_from={0: 2}))
    with closing(one.open(profiles=True)) as broker:
        seen = read(one, broker, 1)
    assert (seen.assigned[0].offset, seen.rows) == (3, [(0, 2, b"three")])


@pytest.mark.parametrize(
    ("case", "how"),
    [
        memory(EXACTLY, "evicted"),
        memory(AT_LEAST, "evicted"),
        memory(EXACTLY, "aborted"),
        *real(EXACTLY, "evicted"),
        *real(EXACTLY, "aborted"),
        *real(AT_LEAST, "evicted"),
    ],
    indirect=["case"],
)
def test_a_rewind_reads_again_from_where_the_profiles_began_at_the_last_commit(case, how):
    one = case([b"one", b"two", b"three"], commit_interval_ms=NEVER_MS)
    with closing(one.open(profiles=True)) as broker:
        read(one, broker, 3)
        broker.deliver(replace(step(one, b"first", at=2), read_from={0: 1}))
        second = replace(step(one, b"second", at=3), read_from={0: 2})
        undo_next_delivery(one, broker, how)
        with pytest.raises(RewoundError):
            broker.deliver(second)
        seen = read(one, broker, 2)
        assert (seen.assigned[0].offset, seen.assigned[0].read_from) == (2, 1)
        assert seen.rows == [(0, 1, b"two"), (0, 2, b"three")]


@pytest.mark.usefixtures("with_kafka")
@both_modes
def test_nothing_below_the_offset_at_which_a_partition_was_assigned_is_committed(case):
    one = case([b"one", b"two", b"three"])
    begun_again(one)
    with closing(one.open(profiles=True)) as broker:
        read(one, broker, 2)
        broker.deliver(Checkpoint(offsets={0: 2}))
        broker.deliver(step(one, b"alert", at=2))
        assert one.committed() == {0: 3}
    with closing(one.open(profiles=True)) as broker:
        found = read(one, broker, 2).assigned[0]
    assert (found.offset, found.stream_time, found.read_from) == (3, StreamTime.at(77), 1)


@pytest.mark.usefixtures("with_kafka")
def test_records_that_come_again_are_no_lag(case):
    one = case([b"one", b"two", b"three", b"four"], batch_size=3)
    begun_again(one)
    with closing(one.open(profiles=True)) as broker:
        lags = []
        poll_until(one, broker, lambda seen: lags.append(broker.lag().get(0)) or len(seen.rows) == 3)
        poll_until(one, broker, lambda _: lags.append(broker.lag().get(0)) or lags[-1] == 1)
        assert set(lags) <= {None, 1}
        broker.deliver(step(one, b"alert", at=4))
        poll_until(one, broker, lambda _: broker.lag() == {0: 0})


@pytest.mark.usefixtures("with_kafka")
def test_profiles_of_another_group_are_not_used(case):
    one = case([b"one", b"two", b"three"])
    begun_again(one, rows=(profile(one, b"own"),))
    one.publish([profile(one, b"strange", source)._replace(headers=(("group", b"x"),)) for source in (b"bed", b"z")])
    with closing(one.open(profiles=True)) as broker:
        seen = poll_until(one, broker, lambda seen: seen.assigned)
    assert seen.assigned[0].profiles == {b"bed": b"own"}


# What a broker says of itself


def test_lag_counts_the_records_of_each_assigned_partition_after_the_last_committed_one(case):
    one = case([b"one", b"two"], partitions=2, batch_size=2)
    with closing(one.open()) as broker:
        read(one, broker, 2)
        poll_until(one, broker, lambda seen: not seen.rows and broker.lag() == {0: 2, 1: 0})
        broker.deliver(step(one, b"alert", at=1))
        assert broker.lag() == {0: 1, 1: 0}
        broker.deliver(Checkpoint(offsets={0: 2}))
        poll_until(one, broker, lambda _: broker.lag() == {0: 0, 1: 0})
        one.publish(beats(one.settings, [b"three", b"four", b"five"]))
        poll_until(one, broker, lambda _: broker.lag() == {0: 3, 1: 0})
        assert broker.held_back() == {0: 0, 1: 0}


@both_modes
def test_lag_counts_what_was_read_again_and_again_and_never_delivered(case):
    one = case([b"one", b"two"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        for _ in range(2):
            poll_until(one, broker, lambda seen: seen.assigned and len(seen.rows) >= 2 and one.has_member())
            one.evict(broker)
            with pytest.raises(RewoundError):
                broker.deliver(step(one, b"alert", at=2))
            assert broker.lag() in ({}, {0: 2})
        poll_until(one, broker, lambda _: broker.lag() == {0: 2})


@pytest.mark.parametrize("offset_reset", ["earliest", "latest"])
def test_a_partition_that_appears_to_a_running_group_begins_at_its_first_record(case, offset_reset):
    one = case([b"before"], offset_reset=offset_reset)
    with closing(one.open()) as broker:
        poll_until(one, broker, lambda seen: seen.assigned)
        poll_until(one, broker, lambda _: one.committed())
        one.extend(2)
        one.publish(beats(one.settings, [b"first", b"second"], partition=1))
        seen = poll_until(one, broker, lambda seen: 1 in seen.assigned and len(seen.values) >= 2)
    assert [row for row in seen.rows if row[0] == 1] == [(1, 0, b"first"), (1, 1, b"second")]


def test_a_new_group_that_begins_at_the_end_does_so_in_all_partitions(case):
    one = case([b"before"], partitions=2, offset_reset="latest")
    one.publish(beats(one.settings, [b"before"], partition=1))
    with closing(one.open()) as broker:
        seen = poll_until(one, broker, lambda seen: seen.assigned.keys() == {0, 1})
        assert {partition: assigned.offset for partition, assigned in seen.assigned.items()} == {0: 1, 1: 1}


def test_control_records_come_once_and_the_whole_past_with_the_first_poll(case):
    one = case()
    topic = one.settings.control_topic
    one.publish([Message(topic, b"threshold/*", b"{}"), Message(topic, b"threshold/*", None)])
    with closing(one.open()) as broker:
        records = broker.poll()
        past = (ControlRecord(b"threshold/*", b"{}", 0), ControlRecord(b"threshold/*", None, 1))
        assert records.control_records == past
        one.publish([Message(topic, b"threshold/bed", b"[]")])
        seen = poll_until(one, broker, lambda seen: seen.control_records)
        assert seen.control_records == [ControlRecord(b"threshold/bed", b"[]", 2)]
        assert broker.poll().control_records == ()
    with closing(one.open("two")) as broker:
        assert len(broker.poll().control_records) == 3


def test_what_a_broker_says_of_itself_never_raises(case):
    one = case([b"one", b"two"], commit_interval_ms=NEVER_MS)

    def ask():
        return broker.lag(), broker.has_more(), broker.settled(), broker.joined(), broker.facts()

    with closing(one.open()) as broker:
        assert ask()[0] == {}  # before the first poll
        read(one, broker, 2)
        assert ask()[3]
        one.evict(broker)
        ask()
        with pytest.raises(RewoundError):
            broker.deliver(step(one, b"alert", at=1))
        ask()
    ask()  # nor after the last call


def test_facts_count_once_what_happened_since_they_were_asked_for(case):
    one = case([b"one"], commit_interval_ms=NEVER_MS)
    with closing(one.open()) as broker:
        read(one, broker, 1)
        facts = broker.facts()
        assert (facts.restored_sources, len(facts.restore_seconds), facts.commit_failures) == (0, 1, 0)
        rows = row(one, b"open"), row(one, b"open")._replace(key=b"bed 2")
        broker.deliver(step(one, b"alert", *rows, at=0))
        assert broker.facts() == BrokerFacts(commits=1)
        assert broker.facts() == BrokerFacts()
    with closing(one.open()) as broker:
        read(one, broker, 1)
        facts = broker.facts()
        assert (facts.restored_sources, len(facts.restore_seconds), facts.lost_records) == (2, 1, 0)
