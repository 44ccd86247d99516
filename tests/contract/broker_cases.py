"""The brokers that the contract suite runs on: the one in memory, and the real one, each in both delivery modes."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, MemberToRemove

from monitor.broker import KafkaBroker, MemoryBroker, MemoryCluster, Publisher
from monitor.records.record import Checkpoint, Message
from monitor.records.stream_time import StreamTime
from tests.brokers import read_committed, take_transactional_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pytest

    from monitor.broker import Broker
    from monitor.records.record import Assigned, ControlRecord, Records
    from monitor.settings import Settings

NOW_MS = 1000 * int(time.time())  # the topics delete records that are older than an hour
Sent = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


class CheckedBroker:
    """A broker whose every poll is held against the contract; the rest goes to the broker itself."""

    def __init__(self, inner: Broker) -> None:
        self.inner = inner
        self._next: dict[int, int] = {}  # of the assigned partitions: the offset that must come next

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def poll(self) -> Records:
        records = self.inner.poll()
        columns = (records.partition, records.offset, records.time, records.key, records.headers)
        assert {len(column) for column in columns} == {len(records)}
        assert records.revoked <= self._next.keys(), "revoked, but never assigned"
        assert records.revoked.isdisjoint(records.assigned)
        for partition in records.revoked:
            del self._next[partition]
        assert all(one.read_from <= one.offset for one in records.assigned.values())
        self._next |= {partition: assigned.read_from for partition, assigned in records.assigned.items()}
        brought = records.partition.tolist()
        assert brought == sorted(brought, key=list(dict.fromkeys(brought)).index), "a partition's records are apart"
        for partition, offset in zip(brought, records.offset.tolist(), strict=True):
            assert partition in self._next, "a record of a partition that is not assigned"
            assert offset == self._next[partition], "a record twice, or one that was passed over"
            self._next[partition] += 1
        return records


class Case(Protocol):
    """A broker with topics and a group of their own, and what a test does from outside."""

    settings: Settings
    has_no_more: bool  # whether the client cannot tell that more was fetched
    limit_seconds: float  # after which what a test waits for is missing

    def open(self, instance: str = "one", *, profiles: bool = False) -> CheckedBroker:
        """One more member of the group; `instance` tells members apart. `profiles`: whether it uses them."""

    def publish(self, messages: Sequence[Message], first_ms: int = NOW_MS) -> None:
        """Write records, with times one second apart."""

    def sent(self, topic: str) -> list[Sent]:
        """Key, value and headers of all that a reader of committed records finds in a topic of one partition."""

    def committed(self) -> dict[int, int]:
        """The committed offsets of the group, of the partitions that have one."""

    def extend(self, partitions: int) -> None:
        """Give the beats and the state so many partitions."""

    def has_member(self) -> bool:
        """Whether the group has a member. One that was evicted may read on before it joins again."""

    def evict(self, broker: CheckedBroker) -> None:
        """Put the only member out of the group; it learns that by itself."""

    def abort_next(self, broker: CheckedBroker) -> None:
        """Let the transaction of the next delivery come to nothing; the member stays in its group."""

    def without_answers(self, broker: CheckedBroker) -> AbstractContextManager[None]:
        """Meanwhile no alert is acknowledged; in memory, none of the next delivery."""


@dataclass
class MemoryCase:
    """All of it in memory."""

    settings: Settings
    partitions: int
    limit_seconds: float = 0.2
    has_no_more: bool = False

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster(self.settings, self.partitions)

    def open(self, instance: str = "one", *, profiles: bool = False) -> CheckedBroker:  # noqa: ARG002 - needs no names
        return CheckedBroker(MemoryBroker(self.cluster, profiles=profiles))

    def publish(self, messages: Sequence[Message], first_ms: int = NOW_MS) -> None:
        for row, message in enumerate(messages):
            self.cluster.publish(message, first_ms + 1000 * row)

    def sent(self, topic: str) -> list[Sent]:
        return [(message.key, message.value, message.headers) for message in self.cluster.messages(topic)]

    def committed(self) -> dict[int, int]:
        return self.cluster.committed()

    def extend(self, partitions: int) -> None:
        self.cluster.extend(partitions)

    def has_member(self) -> bool:
        return True

    def evict(self, broker: CheckedBroker) -> None:
        self.cluster.evict(broker.inner)

    def abort_next(self, broker: CheckedBroker) -> None:
        broker.rewind_next()

    @contextmanager
    def without_answers(self, broker: CheckedBroker) -> Iterator[None]:
        broker.fail_next()
        yield


@dataclass
class KafkaCase:
    """The broker at hand; without Apache Kafka it is the embedded one, whose groups have one member."""

    settings: Settings
    partitions: int
    require_kafka: Callable[[], Any]
    has_no_more: bool
    limit_seconds: float = 60

    def open(self, instance: str = "one", *, profiles: bool = False) -> CheckedBroker:
        return CheckedBroker(KafkaBroker(self._of(instance), profiles=profiles))

    def _of(self, instance: str) -> Settings:
        return self.settings.model_copy(update={"instance": instance})

    def publish(self, messages: Sequence[Message], first_ms: int = NOW_MS) -> None:
        with closing(Publisher(self.settings)) as publisher:
            for row, message in enumerate(messages):
                publisher.send(message, first_ms + 1000 * row)
            publisher.flush()

    def sent(self, topic: str) -> list[Sent]:
        found = read_committed(self.settings, topic)
        return [(record.key, record.value, record.headers) for record in found]

    def committed(self) -> dict[int, int]:
        address, group = self.settings.bootstrap_servers, self.settings.group_id
        with closing(KafkaConsumer(bootstrap_servers=address, group_id=group)) as consumer:
            found = {
                one: consumer.committed(TopicPartition(self.settings.beats_topic, one))
                for one in range(self.partitions)
            }
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def extend(self, partitions: int) -> None:
        self.require_kafka()
        with closing(KafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)) as admin:
            admin.create_partitions({self.settings.beats_topic: partitions})

    def has_member(self) -> bool:
        self.require_kafka()
        with closing(KafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)) as admin:
            return bool(admin.describe_groups([self.settings.group_id])[self.settings.group_id]["members"])

    def evict(self, broker: CheckedBroker) -> None:  # noqa: ARG002 - it is the only one
        self.require_kafka()
        with closing(KafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)) as admin:
            (member,) = admin.describe_groups([self.settings.group_id])[self.settings.group_id]["members"]
            admin.remove_group_members(self.settings.group_id, [MemberToRemove(member_id=member["member_id"])])

    def abort_next(self, broker: CheckedBroker) -> None:  # noqa: ARG002 - it is the only one
        self.require_kafka()
        take_transactional_id(self._of("one"))

    @contextmanager
    def without_answers(self, broker: CheckedBroker) -> Iterator[None]:  # noqa: ARG002 - it is the only one
        """Kafka refuses what it cannot copy often enough, and clients try again until it takes it."""
        self.require_kafka()
        self._require_copies(2)
        yield
        self._require_copies(1)

    def _require_copies(self, count: int) -> None:
        """Let alerts need so many copies."""
        topic = self.settings.alerts_topic
        with closing(KafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)) as admin:
            admin.alter_configs([ConfigResource("TOPIC", topic, {"min.insync.replicas": str(count)})])
            deadline = time.monotonic() + self.limit_seconds
            while _config(admin, topic, "min.insync.replicas") != str(count):
                assert time.monotonic() < deadline


def _config(admin: KafkaAdminClient, topic: str, name: str) -> str:
    found = admin.describe_configs([ConfigResource("TOPIC", topic)], config_filter="all")
    return str(found["topic"][topic][name]["value"])


def beats(settings: Settings, values: Sequence[bytes | None], partition: int = 0) -> list[Message]:
    return [Message(settings.beats_topic, b"source", value, partition=partition) for value in values]


@dataclass
class Seen:
    """What the polls of one member brought, in order, as a caller would remember it."""

    rows: list[tuple[int, int, bytes | None]] = field(default_factory=list)  # partition, offset, value
    times: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    headers: list[tuple[tuple[str, bytes], ...]] = field(default_factory=list)
    assigned: dict[int, Assigned] = field(default_factory=dict)  # those that were not revoked since
    revoked: list[int] = field(default_factory=list)
    control_records: list[ControlRecord] = field(default_factory=list)

    @property
    def values(self) -> list[bytes | None]:
        return [value for _, _, value in self.rows]

    def add(self, records: Records) -> None:
        for partition in records.revoked:
            self.revoked.append(partition)
            self.assigned.pop(partition, None)
        self.assigned |= records.assigned
        self.rows += zip(records.partition.tolist(), records.offset.tolist(), records.value, strict=True)
        self.times += records.time.tolist()
        self.keys += records.key
        self.headers += records.headers
        self.control_records += records.control_records


def poll_until(case: Case, broker: CheckedBroker, is_done: Callable[[Seen], object]) -> Seen:
    """Poll at least once, until what came satisfies the test."""
    seen = Seen()
    poll_all_until(case, {broker: seen}, lambda: is_done(seen))
    return seen


def poll_all_until(case: Case, members: dict[CheckedBroker, Seen], is_done: Callable[[], object]) -> None:
    """Poll several members in turn."""
    deadline = time.monotonic() + case.limit_seconds
    while True:
        for broker, seen in members.items():
            seen.add(broker.poll())
        if is_done():
            return
        assert time.monotonic() < deadline, f"it never came: {members.values()}"


def read(case: Case, broker: CheckedBroker, count: int) -> Seen:
    """Poll until so many records came; not one more may come with them."""
    seen = poll_until(case, broker, lambda seen: len(seen.rows) >= count)
    assert len(seen.rows) == count
    return seen


def make_case(request: pytest.FixtureRequest, partitions: int, overrides: dict[str, Any]) -> Case:
    """The case for the fixture's parameter.

    `memory` or `real`, then perhaps a delivery mode; for `real`, last the name of a Kafka client.
    """
    from tests.conftest import settings_on  # noqa: PLC0415 - a conftest is loaded by pytest first

    where, *more = request.param.split()
    client = more.pop() if where == "real" else ""
    delivery = more[0] if more else ""
    overrides = ({"delivery": delivery} if delivery else {}) | overrides
    if where == "memory":
        return MemoryCase(settings_on("127.0.0.1:1", **overrides), partitions)
    if delivery == "exactly-once" or client == "confluent":
        request.getfixturevalue("kafka")
    overrides = {"kafka_client": client} | overrides
    settings = request.getfixturevalue("make_settings")(partitions=partitions, **overrides)
    return KafkaCase(settings, partitions, lambda: request.getfixturevalue("kafka"), client == "kafka-python")


def alert(case: Case, value: bytes) -> Message:
    return Message(case.settings.alerts_topic, b"source", value)


def alerts(case: Case) -> list[bytes | None]:
    return [value for _, value, _ in case.sent(case.settings.alerts_topic)]


def step(case: Case, value: bytes, *state: Message, at: int, partition: int = 0, stream_time: int = 0) -> Checkpoint:
    """A checkpoint with an alert: `partition` is read up to the offset `at`."""
    return Checkpoint((alert(case, value), *state), (), {partition: at}, {partition: StreamTime.at(stream_time)})
