"""Asks about topics and changes them, on confluent-kafka."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import TopicCollection
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic, ResourceType

from monitor.broker.client import ClientError, Failure, GroupFacts, TopicFacts
from monitor.broker.confluent.client_errors import name_of_cause, translated_errors
from monitor.broker.confluent.connecting import close_admin, connect
from monitor.broker.confluent.metadata import topic_metadata
from monitor.broker.confluent.offsets import PartitionBounds, answer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from monitor.settings import Settings

REQUEST_SECONDS = 5.0
USABLE_SECONDS = 10.0
PAUSE_SECONDS = 0.05
_THERE, _MISSING = "TOPIC_ALREADY_EXISTS", "UNKNOWN_TOPIC_OR_PART"


class ConfluentAdmin:
    """Implements `client.AdminClient`."""

    def __init__(self, settings: Settings, wait_seconds: float) -> None:
        self._admin, self._errors = connect(settings, wait_seconds)

    def topics(self) -> set[str]:
        with self._errors.named(self._admin), translated_errors("listing topics"):
            return set(self._admin.list_topics(timeout=REQUEST_SECONDS).topics)

    def describe(self, topic: str) -> TopicFacts | None:
        try:
            found = self._ask(f"looking at {topic}", topic, self._describe_topics, TopicCollection([topic]))
        except ClientError as error:
            if name_of_cause(error) == _MISSING:
                return None
            raise
        replicas = len(found.partitions[0].replicas)
        return TopicFacts(str(found.topic_id), len(found.partitions), replicas, _rights(found))

    def describe_group(self, group: str) -> GroupFacts:
        found = self._ask(f"looking at group {group}", group, self._describe_groups, [group])
        return GroupFacts(frozenset(member.client_id for member in found.members), _rights(found))

    def create(self, topic: str, partitions: int, replication_factor: int, configs: Mapping[str, str]) -> bool:
        wanted = [NewTopic(topic, partitions, replication_factor, config=dict(configs))]
        try:
            self._ask(f"creating {topic}", topic, self._admin.create_topics, wanted)
        except ClientError as error:
            if name_of_cause(error) == _THERE:
                return False
            raise
        self._await(topic, max(partitions, 1))
        return True

    def extend(self, topic: str, partitions: int) -> None:
        wanted = [NewPartitions(topic, partitions)]
        self._ask(f"adding partitions to {topic}", topic, self._admin.create_partitions, wanted)
        self._await(topic, partitions)

    def _describe_topics(self, wanted: Any, **options: Any) -> Any:
        return self._admin.describe_topics(wanted, include_authorized_operations=True, **options)

    def _describe_groups(self, wanted: Any, **options: Any) -> Any:
        return self._admin.describe_consumer_groups(wanted, include_authorized_operations=True, **options)

    def _ask(self, what: str, key: Any, request: Any, wanted: Any) -> Any:
        with translated_errors(what):
            futures = request(wanted, request_timeout=REQUEST_SECONDS)
        with self._errors.named(self._admin):
            return answer(futures[key], what, REQUEST_SECONDS)

    def _await(self, topic: str, partitions: int) -> None:
        """Return when the broker that answers has so many partitions with a leader: other requests may come earlier."""
        deadline = time.monotonic() + USABLE_SECONDS
        while self._led(topic) < partitions:
            if time.monotonic() > deadline:
                raise ClientError(f"{topic} is there, and cannot be used after {USABLE_SECONDS:g} s", Failure.PASSING)
            time.sleep(PAUSE_SECONDS)

    def _led(self, topic: str) -> int:
        """How many partitions have a leader, as far as the broker that answers can tell."""
        try:
            found = topic_metadata(self._admin, topic)
        except ClientError as error:
            if error.failure is Failure.PASSING:
                return 0
            raise
        return 0 if found is None else sum(one.leader >= 0 for one in found.partitions.values())

    def config(self, topic: str, name: str) -> str | None:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        try:
            found = self._ask(f"looking at {topic}", resource, self._admin.describe_configs, [resource])
        except ClientError:
            return None
        return str(found[name].value) if name in found and found[name].value is not None else None

    def log_ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        return PartitionBounds(self._admin, topic).log_ends(partitions)

    def close(self) -> None:
        close_admin(self._admin)


def _rights(found: Any) -> frozenset[str] | None:
    """An old broker does not tell."""
    return frozenset(one.name for one in found.authorized_operations) if found.authorized_operations else None
