"""Reads episode state from its compacted topic, a few partitions at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka import KafkaAdminClient, KafkaConsumer, OffsetSpec, TopicPartition

from monitor.broker.client_errors import close_quietly, translated_connect_errors, translated_errors
from monitor.broker.connection.client_config import COMMAND_SECONDS, client_config
from monitor.broker.reading.reader import build_reader, read_to_end
from monitor.broker.topics import extend_state
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.settings import Settings

IDLE_SECONDS = 4.0  # without a row: the open transaction of a dying member holds the end back; try again later
POLL_MS = 200
REQUEST_MS = 5000


class StateTopic:
    """The state topic. Its clients are built at the first use and kept: each later restore takes about 30 ms."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.state_topic_name
        self._consumer: KafkaConsumer | None = None
        self._admin: KafkaAdminClient | None = None

    def read(self, partitions: list[int]) -> dict[int, dict[bytes, bytes]]:
        """The last value of each source in each of the partitions.

        It reads all committed rows up to the end of everything written. Raises BrokerError while a transaction that a
        dying member left open holds that end back.
        """
        try:
            with translated_errors(f"reading {self._topic}"):
                return self._read([TopicPartition(self._topic, partition) for partition in partitions])
        except BrokerError:
            self.close()
            raise

    def _read(self, wanted: list[TopicPartition]) -> dict[int, dict[bytes, bytes]]:
        rows: dict[int, dict[bytes, bytes]] = {tp.partition: {} for tp in wanted}
        ends = self._ends(wanted)
        if not ends:
            return rows
        consumer = self._consumer = self._consumer or build_reader(self._settings, max_poll_records=10_000)
        consumer.assign(list(ends))
        consumer.seek_to_beginning(*ends)
        for record in read_to_end(consumer, ends, IDLE_SECONDS, POLL_MS):
            rows[record.partition].pop(record.key, None)
            if record.value is not None:
                rows[record.partition][record.key] = record.value
        return rows

    def _ends(self, wanted: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The end of each partition that has records, uncommitted ones included."""
        with translated_connect_errors(self._settings):
            admin = self._admin = self._admin or KafkaAdminClient(
                **client_config(self._settings, COMMAND_SECONDS), request_timeout_ms=REQUEST_MS
            )
        if max(tp.partition for tp in wanted) >= len(admin.describe_topics([self._topic])[0]["partitions"]):
            extend_state(admin, self._settings)
        found = admin.list_partition_offsets(dict.fromkeys(wanted, OffsetSpec.LATEST))
        return {tp: answer.offset for tp, answer in found.items() if answer.offset > 0}

    def close(self) -> None:
        clients: Iterable[KafkaConsumer | KafkaAdminClient | None] = (self._consumer, self._admin)
        self._consumer = self._admin = None
        for client in clients:
            if client is not None:
                close_quietly("the readers of state", client.close)
