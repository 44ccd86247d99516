"""Questions about topics, and changes to them, on kafka-python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, OffsetSpec, TopicPartition
from kafka.admin import ConfigResource
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from monitor.broker.client import ClientError, Failure, GroupFacts, TopicFacts
from monitor.broker.kafka_python.client_errors import close_quietly, translated_connect_errors, translated_errors
from monitor.broker.kafka_python.config import client_config

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from monitor.settings import Settings

REQUEST_MS = 5000


class KafkaPythonAdmin:
    """Implements `client.AdminClient`."""

    def __init__(self, settings: Settings, wait_seconds: float) -> None:
        with translated_connect_errors(settings):
            self._admin = KafkaAdminClient(**client_config(settings, wait_seconds), request_timeout_ms=REQUEST_MS)

    def topics(self) -> set[str]:
        with translated_errors("listing topics"):
            return set(self._admin.list_topics())

    def describe(self, topic: str) -> TopicFacts | None:
        with translated_errors(f"looking at {topic}"):
            (found,) = self._admin.describe_topics([topic])
            if found["error_code"] not in {0, UnknownTopicOrPartitionError.errno}:
                raise for_code(found["error_code"])(topic)
        partitions, replicas = found["partitions"], 0
        if not partitions:
            return None
        replicas = len(partitions[0]["replica_nodes"])
        return TopicFacts(str(found["topic_id"]), len(partitions), replicas, _rights(found))

    def describe_group(self, group: str) -> GroupFacts:
        with translated_errors(f"looking at group {group}"):
            found = self._admin.describe_groups([group], include_authorized_operations=True)[group]
        if "GroupAuthorizationFailed" in (found.get("error") or ""):
            raise ClientError(f"looking at group {group}: not authorised", Failure.UNAUTHORISED)
        clients = frozenset(str(member["client_id"]) for member in found["members"])
        return GroupFacts(clients, _rights(found))

    def create(self, topic: str, partitions: int, replication_factor: int, configs: Mapping[str, str]) -> bool:
        options = {"num_partitions": partitions, "replication_factor": replication_factor, "configs": dict(configs)}
        with translated_errors(f"creating {topic}"):
            try:
                self._admin.create_topics({topic: options}, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                return False
        return True

    def extend(self, topic: str, partitions: int) -> None:
        with translated_errors(f"adding partitions to {topic}"):
            self._admin.create_partitions({topic: partitions})

    def config(self, topic: str, name: str) -> str | None:
        resource = ConfigResource("TOPIC", topic, [name])
        try:
            found = self._admin.describe_configs([resource], config_filter="all")
            return str(found["topic"][topic][name]["value"])
        except (KafkaError, LookupError, TypeError):
            return None

    def log_ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        with translated_errors(f"asking for the end of {topic}"):
            found = self._admin.list_partition_offsets(dict.fromkeys(wanted, OffsetSpec.LATEST))
        return {tp.partition: answer.offset for tp, answer in found.items()}

    def close(self) -> None:
        close_quietly("the connection for questions", self._admin.close)


def _rights(found: Mapping[str, Any]) -> frozenset[str] | None:
    """The client gives none for a group that never had a member."""
    names = found.get("authorized_operations")
    return None if names is None else frozenset(names)
