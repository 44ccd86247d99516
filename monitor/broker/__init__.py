"""The Kafka edge: the only package that imports a Kafka client.

`Broker` is what the worker needs of it; `KafkaBroker` is the real one. The readers and the publisher of the commands,
and the topics, live here too.
"""

from monitor.broker.clients import Publisher, Reader
from monitor.broker.connection.client_config import COMMAND_SECONDS
from monitor.broker.kafka_broker import KafkaBroker
from monitor.broker.memory import MemoryBroker, MemoryCluster
from monitor.broker.protocol import Broker
from monitor.broker.replayer import (
    LettersTopic,
    Replayer,
    ReturnedRecord,
    describe_letters,
    make_notes_topic,
    notes_topic,
)
from monitor.broker.topics import TopicPlan, create_topics, missing_topics, retention_ms

__all__ = [
    "COMMAND_SECONDS",
    "Broker",
    "KafkaBroker",
    "LettersTopic",
    "MemoryBroker",
    "MemoryCluster",
    "Publisher",
    "Reader",
    "Replayer",
    "ReturnedRecord",
    "TopicPlan",
    "create_topics",
    "describe_letters",
    "make_notes_topic",
    "missing_topics",
    "notes_topic",
    "retention_ms",
]
