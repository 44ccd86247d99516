"""How a delivery reaches Kafka: in one transaction with its offsets, or in an order that never loses any of it.

Either may be begun while the next step is worked on: a transaction is five answers of the broker's, one after the
other, and on two cores a quarter of a step was spent on waiting for them.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol

from monitor.broker.producer import AcknowledgedProducer
from monitor.broker.transactions import TransactionalProducer
from monitor.errors import RewoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kafka import OffsetAndMetadata, TopicPartition
    from kafka.structs import ConsumerGroupMetadata

    from monitor.broker.consumer import GroupConsumer
    from monitor.records.record import Checkpoint, Message
    from monitor.settings import Settings

    Offsets = Mapping[TopicPartition, OffsetAndMetadata]


class DeliveryStrategy(Protocol):
    """Delivers one thing at a time; nothing else is asked of it between `begin` and `deliver` of the same."""

    def prepare(self) -> None:
        """Be ready to deliver; BrokerError when that is not possible now."""

    def begin(self, checkpoint: Checkpoint, offsets: Offsets) -> None:
        """Do of it what can be done without the consumer, in the background."""

    def settle(self) -> None:
        """Return when what was begun has come to an end, whichever."""

    def deliver(self, checkpoint: Checkpoint, offsets: Offsets) -> bool:
        """Have it all acknowledged; False when the group asks to come again later with the offsets."""

    def close(self) -> None:
        """Let go."""


class _Background:
    """One call under way at most, on a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "deliver")
        self._under_way: Future[None] | None = None

    def begin(self, call: Callable[..., None], *arguments: Any) -> None:
        self._under_way = self._thread.submit(call, *arguments)

    def settle(self) -> None:
        if self._under_way is not None:
            wait([self._under_way])

    def end(self) -> bool:
        """Whether anything was begun; what it raised is raised here."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()
        return under_way is not None

    def close(self) -> None:
        """Return when what was begun has come to an end."""
        self._thread.shutdown()


class ExactlyOnce:
    """Everything in one transaction; offsets without anything to say as well, so that no stale member commits them."""

    def __init__(self, settings: Settings, intake: GroupConsumer) -> None:
        self._intake = intake
        self._transactions = TransactionalProducer(settings)
        self._background = _Background()
        self.prepare, self.settle = self._transactions.prepare, self._background.settle

    def begin(self, checkpoint: Checkpoint, offsets: Offsets) -> None:
        """All of it: as the member that this is now."""
        self._background.begin(self._transactions.deliver, *self._whole(checkpoint, offsets))

    def deliver(self, checkpoint: Checkpoint, offsets: Offsets) -> bool:
        if not self._background.end():
            self._transactions.deliver(*self._whole(checkpoint, offsets))
        return True

    def _whole(
        self, checkpoint: Checkpoint, offsets: Offsets
    ) -> tuple[Sequence[Message], Offsets, ConsumerGroupMetadata]:
        return (*checkpoint.messages, *checkpoint.deletions), offsets, self._intake.member

    def close(self) -> None:
        self._background.close()
        self._transactions.close()


class AtLeastOnce:
    """Messages with the state, then offsets, then deletions of state, each acknowledged before the next."""

    def __init__(self, settings: Settings, intake: GroupConsumer) -> None:
        self._intake = intake
        self._outbox = AcknowledgedProducer(settings)
        self._background = _Background()
        self._sent: Checkpoint | None = None
        self._undone: dict[tuple[int | None, bytes | None], Message] = {}  # deletions whose offsets are not committed
        self.settle = self._background.settle

    def prepare(self) -> None:
        """A producer without transactions needs no preparing."""

    def begin(self, checkpoint: Checkpoint, offsets: Offsets) -> None:  # noqa: ARG002 - they follow the messages
        """The messages."""
        if self._is_unsent(checkpoint):
            self._background.begin(self._outbox.deliver, checkpoint.messages)

    def deliver(self, checkpoint: Checkpoint, offsets: Offsets) -> bool:
        if not self._background.end() and self._is_unsent(checkpoint):
            self._outbox.deliver(checkpoint.messages)
        self._sent = checkpoint
        for message in checkpoint.messages:
            self._undone.pop((message.partition, message.key), None)
        self._undone |= {(message.partition, message.key): message for message in checkpoint.deletions}
        # what was lost since this was begun is another member's to commit and to remember
        offsets = {tp: offset for tp, offset in offsets.items() if self._intake.owns(tp.partition)}
        self._undone = {place: message for place, message in self._undone.items() if self._owns(message)}
        try:
            if offsets and not self._intake.commit(offsets):
                return False
        except RewoundError:
            self._undone = {}
            raise
        if due := tuple(self._undone.values()):
            self._outbox.deliver(due)
        self._undone = {}
        return True

    def _is_unsent(self, checkpoint: Checkpoint) -> bool:
        return bool(checkpoint.messages) and checkpoint is not self._sent

    def _owns(self, message: Message) -> bool:
        return message.partition is None or self._intake.owns(message.partition)

    def close(self) -> None:
        self._background.close()
        self._outbox.close()
