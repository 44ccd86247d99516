"""All communication with Kafka. This is the only package that imports a Kafka client.

`Broker` is the interface that the pipeline uses; `KafkaBroker` implements it for Kafka, `MemoryBroker` in memory. The
readers and the publisher of the commands, and the creation of topics, are here too.
"""

from monitor.broker.choice import kafka_client
from monitor.broker.kafka_broker import KafkaBroker
from monitor.broker.memory import MemoryBroker, MemoryCluster
from monitor.broker.permissions import check_delivery
from monitor.broker.protocol import Broker
from monitor.broker.reading.period import PeriodReader
from monitor.broker.reading.reader import Reader
from monitor.broker.retry import COMMAND_SECONDS
from monitor.broker.subscription import KafkaSubscription, Subscription
from monitor.broker.topics import (
    TimeLimits,
    TopicPlan,
    create_topics,
    has_beat_times,
    missing_topics,
    retention_ms,
    time_limits,
)
from monitor.broker.writing.buffered_publisher import BUFFER_RECORDS, BufferedPublisher, Loss, RecordPublisher
from monitor.broker.writing.publisher import Publisher, StampedMessage
from monitor.broker.writing.replayer import (
    LettersTopic,
    Replayer,
    ReturnedRecord,
    describe_letters,
    ledger_topic,
    make_ledger_topic,
)

__all__ = [
    "BUFFER_RECORDS",
    "COMMAND_SECONDS",
    "Broker",
    "BufferedPublisher",
    "KafkaBroker",
    "KafkaSubscription",
    "LettersTopic",
    "Loss",
    "MemoryBroker",
    "MemoryCluster",
    "PeriodReader",
    "Publisher",
    "Reader",
    "RecordPublisher",
    "Replayer",
    "ReturnedRecord",
    "StampedMessage",
    "Subscription",
    "TimeLimits",
    "TopicPlan",
    "check_delivery",
    "create_topics",
    "describe_letters",
    "has_beat_times",
    "kafka_client",
    "ledger_topic",
    "make_ledger_topic",
    "missing_topics",
    "retention_ms",
    "time_limits",
]
