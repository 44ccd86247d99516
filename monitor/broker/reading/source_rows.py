"""Reads the rows of sources, episode state or profiles, from their compacted topic, a few partitions at a time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from monitor.beats.beat import MAX_KEY_BYTES
from monitor.broker.reading.reader import read_to_end
from monitor.broker.retry import COMMAND_SECONDS
from monitor.broker.topics import extend_rows
from monitor.errors import BrokerError, RefusedError
from monitor.records.record import other_group
from monitor.terminal import printable

if TYPE_CHECKING:
    from monitor.broker.client import AdminClient, KafkaClient, TopicClient
    from monitor.broker.topics import RowTopic
    from monitor.settings import Settings

log = logging.getLogger(__name__)

IDLE_SECONDS = 4.0  # without a row: a transaction that began meanwhile holds the end back; try again later
POLL_SECONDS = 0.2
WAIT_MS = 10  # the broker answers a fetch at the end of a log after this time: a restore waits for it


class SourceRows:
    """One topic of rows. Its clients are built at the first use and kept: each later restore takes about 30 ms."""

    def __init__(self, settings: Settings, client: KafkaClient, topic: RowTopic) -> None:
        self._settings, self._client, self.topic = settings, client, topic
        self._own = settings.group_id.encode()
        self._consumer: TopicClient | None = None
        self._admin: AdminClient | None = None

    def read(self, partitions: list[int], *, is_new_group: bool) -> dict[int, dict[bytes, bytes]]:
        """The last value of each source in each of the partitions, which are not `held_back`.

        It reads all committed rows up to the end of everything written. Rows of another group are left out: each group
        would take the other's sources for its own. Raises RefusedError for them if this group is new, and has
        therefore been given the topic of another one by mistake. Raises BrokerError while a transaction that began
        meanwhile holds the end back.
        """
        try:
            rows, other = self._read(partitions)
        except BrokerError:
            self.close()
            raise
        if other:
            group = printable(other[:100].decode(errors="replace"))
            what = f"{self.topic.name} has the {self.topic.content} of group {group}"
            if is_new_group:
                raise RefusedError(f"{what}: name another {self.topic.setting} for group {self._settings.group_id}")
            log.error("%s: these rows are not used. Who may write there?", what)
        return rows

    def held_back(self, partitions: list[int]) -> set[int]:
        """The partitions in which an open transaction holds the last rows back, as of now; it does not wait for them.

        A member that died leaves one open for up to 10 s, anybody else for as long as the broker allows.
        """
        try:
            ends = self._ends(partitions)
            committed = self._ready_consumer().ends(ends) if ends else {}
        except BrokerError:
            self.close()
            raise
        return {partition for partition, end in ends.items() if committed.get(partition, 0) < end}

    def _ready_consumer(self) -> TopicClient:
        if self._consumer is None:
            self._consumer = self._client.topic(self._settings, self.topic.name, WAIT_MS)
        return self._consumer

    def _read(self, wanted: list[int]) -> tuple[dict[int, dict[bytes, bytes]], bytes]:
        """The rows by partition and source, the one written last at the end; and another group that has rows."""
        rows: dict[int, dict[bytes, bytes]] = {partition: {} for partition in wanted}
        other = b""
        ends = self._ends(wanted)
        if not ends:
            return rows, other
        consumer = self._ready_consumer()
        consumer.start(consumer.beginnings(ends))
        name, max_bytes = self.topic.name, self.topic.max_bytes
        for record in read_to_end(consumer, name, ends, idle_seconds=IDLE_SECONDS, poll_seconds=POLL_SECONDS):
            if stranger := other_group(record.headers, self._own):
                other = stranger
            elif record.key is not None:  # Kafka takes no other into a compacted topic
                # cut to what those who read rows refuse, so that others cannot fill the memory
                key = record.key[: MAX_KEY_BYTES + 1]
                rows[record.partition].pop(key, None)
                if record.value is not None:
                    rows[record.partition][key] = record.value[: max_bytes + 1]
        consumer.start({})  # else it goes on asking for rows
        return rows, other

    def _ends(self, wanted: list[int]) -> dict[int, int]:
        """The end of each partition that has records, uncommitted ones included."""
        admin = self._admin = self._admin or self._client.admin(self._settings, COMMAND_SECONDS)
        facts = admin.describe(self.topic.name)
        if facts is None or max(wanted) >= facts.partitions:
            extend_rows(admin, self._settings, self.topic)
        return {partition: end for partition, end in admin.log_ends(self.topic.name, wanted).items() if end > 0}

    def close(self) -> None:
        for client in (self._consumer, self._admin):
            if client is not None:
                client.close()
        self._consumer = self._admin = None
