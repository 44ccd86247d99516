"""The two delivery strategies: how a checkpoint is written to Kafka.

Exactly once: in one transaction with its offsets. At least once: messages before offsets, so that no alert is lost.
Both can begin on a second thread while the loop works on the next step. That saves time: a transaction waits for five
answers of the broker, one after the other, and on two cores these waits took a quarter of a step.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol

from monitor.broker.writing.producer import AcknowledgedProducer
from monitor.broker.writing.transactions import TransactionalProducer
from monitor.errors import RewoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitor.broker.client import CommittedOffset, KafkaClient, Membership
    from monitor.broker.reading.consumer import GroupConsumer
    from monitor.records.record import Checkpoint, Message
    from monitor.settings import Settings

    Offsets = Mapping[int, CommittedOffset]


class DeliveryStrategy(Protocol):
    """Delivers one checkpoint at a time. After `begin`, the next delivery must be `deliver` of the same checkpoint."""

    def prepare(self) -> None:
        """Be ready to deliver. Raises BrokerError when that is not possible now."""

    def begin(self, checkpoint: Checkpoint, offsets: Offsets) -> None:
        """Begin in the background with the part that does not need the consumer."""

    def wait(self) -> None:
        """Return when the background work has ended, in success or failure."""

    def deliver(self, checkpoint: Checkpoint, offsets: Offsets) -> bool:
        """Deliver all of it, or the rest of what `begin` began; False when the offsets must be committed later."""

    def close(self) -> None:
        """Close the connections."""


class _Background:
    """Runs one call at a time on a second thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "deliver")
        self._running: Future[None] | None = None

    def begin(self, call: Callable[..., None], *arguments: Any) -> None:
        self._running = self._thread.submit(call, *arguments)

    def wait(self) -> None:
        if self._running is not None:
            wait([self._running])

    def end(self) -> bool:
        """Wait for the call; whether there was one. Raises what the call raised."""
        running, self._running = self._running, None
        if running is not None:
            running.result()
        return running is not None

    def close(self) -> None:
        """Wait for the call and end the thread."""
        self._thread.shutdown()


class ExactlyOnce:
    """Everything in one transaction; offsets without messages too, so that a member put out cannot commit them."""

    def __init__(self, settings: Settings, client: KafkaClient, consumer: GroupConsumer) -> None:
        self._consumer = consumer
        self._transactions = TransactionalProducer(settings, client)
        self._background = _Background()
        self.prepare, self.wait = self._transactions.prepare, self._background.wait

    def begin(self, checkpoint: Checkpoint, offsets: Offsets) -> None:
        """Begin with all of it, under the group membership of this moment."""
        self._background.begin(self._transactions.deliver, *self._arguments(checkpoint, offsets))

    def deliver(self, checkpoint: Checkpoint, offsets: Offsets) -> bool:
        if not self._background.end():
            self._transactions.deliver(*self._arguments(checkpoint, offsets))
        return True

    def _arguments(self, checkpoint: Checkpoint, offsets: Offsets) -> tuple[Sequence[Message], Offsets, Membership]:
        return (*checkpoint.messages, *checkpoint.deletions), offsets, self._consumer.member()

    def close(self) -> None:
        self._background.close()
        self._transactions.close()


class AtLeastOnce:
    """Messages with the state, then offsets, then deletions of state, each acknowledged before the next."""

    def __init__(self, settings: Settings, client: KafkaClient, consumer: GroupConsumer) -> None:
        self._consumer = consumer
        self._producer = AcknowledgedProducer(settings, client)
        self._background = _Background()
        self._sent: Checkpoint | None = None
        self._deletions: dict[tuple[int | None, bytes | None], Message] = {}  # whose offsets are not committed yet
        self.wait = self._background.wait

    def prepare(self) -> None:
        """Nothing to do: this producer has no transactions."""

    def begin(self, checkpoint: Checkpoint, offsets: Offsets) -> None:  # noqa: ARG002 - they follow the messages
        """Begin with the messages."""
        if self._is_unsent(checkpoint):
            self._background.begin(self._producer.deliver, checkpoint.messages)

    def deliver(self, checkpoint: Checkpoint, offsets: Offsets) -> bool:
        if not self._background.end() and self._is_unsent(checkpoint):
            self._producer.deliver(checkpoint.messages)
        self._sent = checkpoint
        for message in checkpoint.messages:
            self._deletions.pop((message.partition, message.key), None)
        self._deletions |= {(message.partition, message.key): message for message in checkpoint.deletions}
        # partitions that were revoked since this began belong to another member, with offsets and state
        offsets = {partition: offset for partition, offset in offsets.items() if self._consumer.owns(partition)}
        self._deletions = {row: message for row, message in self._deletions.items() if self._owns(message)}
        try:
            if offsets and not self._consumer.commit(offsets):
                return False
        except RewoundError:
            self._deletions = {}
            raise
        if deletions := tuple(self._deletions.values()):
            self._producer.deliver(deletions)
        self._deletions = {}
        return True

    def _is_unsent(self, checkpoint: Checkpoint) -> bool:
        return bool(checkpoint.messages) and checkpoint is not self._sent

    def _owns(self, message: Message) -> bool:
        return message.partition is None or self._consumer.owns(message.partition)

    def close(self) -> None:
        self._background.close()
        self._producer.close()
