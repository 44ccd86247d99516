"""What this package needs of a Kafka client. `kafka_python` and `confluent` implement it, each for one library.

The modules above this interface (`reading`, `writing`, `topics`, `kafka_broker`) import no Kafka library. They decide
what to do; an implementation only translates calls, data and errors.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from monitor.broker.blocks import RecordBlock
    from monitor.broker.limits import StepLimit
    from monitor.records.record import Headers, Message
    from monitor.settings import Settings


class Failure(Enum):
    """What a failed call means for the caller."""

    LATE = auto()  # no answer came within the time limit; what was sent may still succeed
    PASSING = auto()  # the broker is busy or moves a leader or coordinator: the same call may succeed soon
    TOO_LARGE = auto()  # a record is larger than the broker takes
    BATCH_TOO_LARGE = auto()  # several records together are; the next producer sends each by itself
    BAD_TIME = auto()  # the broker refuses the timestamp of a record: its own clock says something else
    BAD_RECORD = auto()  # the broker refuses a record for good, for another reason than its size
    FENCED = auto()  # another producer uses the same transactional id, or the transaction took too long
    OUT_OF_GROUP = auto()  # the group went on without this member: its offsets are refused
    REBALANCING = auto()  # the group assigns partitions now: the same call may succeed after the next poll
    UNREADABLE = auto()  # a record cannot be read: the client must be built again
    BROKEN = auto()  # the client itself failed: it must be built again
    UNAUTHORISED = auto()  # this user has no right to it
    OTHER = auto()


class ClientError(BrokerError):
    """A call to a Kafka client failed. The message is a sentence."""

    def __init__(self, message: str, failure: Failure = Failure.OTHER) -> None:
        super().__init__(message)
        self.failure = failure


def failure_of(error: BaseException | None) -> Failure:
    """What failed, where the error or its cause is a ClientError; otherwise `Failure.OTHER`."""
    while error is not None and not isinstance(error, ClientError):
        error = error.__cause__
    return Failure.OTHER if error is None else error.failure


class CommittedOffset(NamedTuple):
    """The offset of the next record to read, and the text that is committed with it."""

    offset: int
    metadata: str


class TopicRecord(NamedTuple):
    """One record, as a reader of a topic gets it."""

    partition: int
    offset: int
    timestamp: int  # ms since the epoch
    key: bytes | None
    value: bytes | None
    headers: Headers


class Membership(NamedTuple):
    """A membership in the group at one moment. A transaction passes it on, so that the broker can refuse an old one."""

    member_id: str  # empty: the group does not have this member
    token: Any  # what the client's own call takes


class GroupClient(Protocol):
    """A consumer that belongs to a group and reads one topic. Partitions are numbers of that topic.

    The group assigns partitions; each is read only after `start`. All methods are for one thread, and all but
    `has_more`, `assignment`, `changed`, `membership`, `is_stable` and `positions` may raise ClientError.
    """

    def poll(self, limit: StepLimit) -> list[RecordBlock]:
        """The records that came, at most so many; none after about a second without any.

        Blocks of one partition are next to each other, in the order of their offsets. Records that would take too much
        memory are set aside: a row stands for them.
        """

    def has_more(self) -> bool:
        """Whether the next poll returns at once. False where the client cannot tell."""

    def assignment(self) -> frozenset[int]:
        """The partitions that the group has assigned to this member, as of the last poll."""

    def changed(self) -> set[int]:
        """Partitions that were assigned or revoked since the last call. What is known of them is void."""

    def membership(self) -> Membership:
        """The membership as of the last poll."""

    def is_stable(self) -> bool:
        """Whether this member belongs to the group, and no rebalance is under way."""

    def start(self, offsets: Mapping[int, int]) -> None:
        """Read these assigned partitions from these offsets on, instead of where they were read before."""

    def stop(self, partition: int) -> None:
        """Read no record of an assigned partition until `start`."""

    def committed(self, partitions: Collection[int], seconds: float) -> dict[int, CommittedOffset | None]:
        """What the group has committed. Waits for transactions that commit offsets of these partitions.

        It waits at most so long; for several partitions, a client may do so for each.
        """

    def beginnings(self, partitions: Collection[int]) -> dict[int, int]:
        """Offset of the oldest record of each partition."""

    def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Offset after the last committed record of each partition."""

    def log_ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Offset after the last record of each partition, those of open transactions included, where it is known."""

    def partitions(self) -> int:
        """How many partitions the topic has, as far as the client knows."""

    def positions(self) -> dict[int, int]:
        """Offset of the next record of each partition that is read, where the client knows it."""

    def commit(self, offsets: Mapping[int, CommittedOffset]) -> None:
        """Commit offsets outside of a transaction."""

    def close(self) -> None:
        """Leave the group, without committing."""


class TopicClient(Protocol):
    """A consumer without a group that reads committed records of one topic."""

    def partitions(self) -> list[int]:
        """The partitions of the topic; none where there is no such topic."""

    def start(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions, and no others, from these offsets on."""

    def beginnings(self, partitions: Collection[int]) -> dict[int, int]:
        """Offset of the oldest record of each partition."""

    def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Offset after the last committed record of each partition."""

    def offsets_at(self, partitions: Collection[int], time_ms: int) -> dict[int, int]:
        """Offset of the first record of this time, ms since the epoch, or later; a partition without has none."""

    def positions(self) -> dict[int, int]:
        """Offset of the next record of each partition. It moves past records that are not returned."""

    def poll(self, seconds: float) -> list[TopicRecord]:
        """The records that came, or those that came first within `seconds`; about READ_BYTES at most.

        Records that would take too much memory are left out, with a line in the log.
        """

    def poll_blocks(self, limit: StepLimit, seconds: float) -> list[RecordBlock]:
        """The same as columns, at most so many records. For those that would take too much memory a row stands.

        Blocks of one partition are next to each other, in the order of their offsets.
        """

    def stop(self, partition: int) -> None:
        """Read no more of a partition."""

    def close(self) -> None:
        """Close the connections."""


class Sending(Protocol):
    """Messages that were given to a producer."""

    def wait(self, deadline: float) -> None:
        """Wait for acknowledgements until `deadline`, seconds of the monotonic clock.

        Raises ClientError for the first message that failed, or that has no answer yet. In a transaction `commit` may
        raise it instead.
        """

    def unacknowledged(self) -> list[Message]:
        """The messages that failed or have no answer yet, in order."""


class ProducerClient(Protocol):
    """An idempotent producer that waits for all replicas and never creates topics; some have transactions.

    All methods may raise ClientError. After one of `Failure.FENCED` or `Failure.BROKEN` only `discard` and `close` are
    of use. A failed transaction needs a new producer.
    """

    def send(self, messages: Iterable[Message], times_ms: Sequence[int | None] = ()) -> Sending:
        """Send messages in their order within each partition, with timestamps where `times_ms` has any.

        A message that cannot be sent does not raise here: it fails in the result, as those after it may.
        """

    def flush(self, seconds: float) -> None:
        """Wait for the acknowledgements of all messages. Failed ones do not raise here."""

    def partitions(self, topic: str) -> set[int]:
        """The partitions of a topic."""

    def init_transactions(self, seconds: float) -> None:
        """Begin to use transactions. One that an earlier producer of this name left open is ended first."""

    def begin(self) -> None:
        """Begin a transaction."""

    def send_offsets(
        self, topic: str, offsets: Mapping[int, CommittedOffset], member: Membership, seconds: float
    ) -> None:
        """Add offsets of the group to the transaction."""

    def commit(self, seconds: float) -> None:
        """Commit the transaction. After an error it is open, committed or undone: the broker knows."""

    def abort(self, seconds: float) -> None:
        """Undo the transaction."""

    def is_fenced(self) -> bool:
        """Whether another producer has ended this one, as far as the client knows."""

    def discard(self) -> None:
        """Close without waiting for messages that are not sent yet."""

    def close(self, seconds: float) -> None:
        """Send what is left, wait for at most `seconds`, and close. Again does nothing."""


class TopicFacts(NamedTuple):
    """One topic as it is now."""

    topic_id: str  # another one after the topic was deleted and created again
    partitions: int
    replicas: int
    rights: frozenset[str] | None = None  # what this user may do, as `READ`; None where the broker does not say


class GroupFacts(NamedTuple):
    """One group as it is now, whether or not it has ever had a member."""

    clients: frozenset[str]  # client ids of its members
    rights: frozenset[str] | None  # as for a topic


class AdminClient(Protocol):
    """Asks about topics and changes them. All methods but `close` may raise ClientError."""

    def topics(self) -> set[str]:
        """The names of all topics."""

    def describe(self, topic: str) -> TopicFacts | None:
        """One topic; None where it is missing."""

    def describe_group(self, group: str) -> GroupFacts:
        """One group."""

    def create(self, topic: str, partitions: int, replication_factor: int, configs: Mapping[str, str]) -> bool:
        """Create a topic, and wait until it can be used; False where it is there already. -1: the broker's default."""

    def extend(self, topic: str, partitions: int) -> None:
        """Give a topic so many partitions."""

    def config(self, topic: str, name: str) -> str | None:
        """One setting of a topic; None where it cannot be read."""

    def log_ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Offset after the last record of each partition, records of open transactions included."""

    def close(self) -> None:
        """Close the connections."""


class KafkaClient(Protocol):
    """A Kafka library. Its methods connect.

    They raise ClientError when no broker answers within `wait_seconds`, and at once when every broker refuses for good;
    the message says why. They raise RefusedError where the settings cannot be used.
    """

    @property
    def name(self) -> str:
        """As `MONITOR_KAFKA_CLIENT` has it, and the version: `kafka-python 3.0.12`."""

    def group(self, settings: Settings, wait_seconds: float) -> GroupClient:
        """A member of the group of the settings that reads the beats topic."""

    def topic(self, settings: Settings, topic: str, max_wait_ms: int = 500) -> TopicClient:
        """A reader. `max_wait_ms`: how long the broker may hold back its answer while there is no record."""

    def producer(
        self, settings: Settings, wait_seconds: float, *, transactional_id: str | None = None, linger_ms: int = 0
    ) -> ProducerClient:
        """A producer; with transactions where it has an id for them."""

    def admin(self, settings: Settings, wait_seconds: float) -> AdminClient:
        """A client for topics."""
