"""kafka-python with care: one batch a poll, larger fetches, the collector tuned, alerts flushed before a commit."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING

from kafka import KafkaConsumer, KafkaProducer

from bench.judge import BATCH, Judge

if TYPE_CHECKING:
    from bench.case import Case, Meter

PARTITION_BYTES = 4 * 1024 * 1024


def judge(case: Case, meter: Meter) -> None:
    judge = Judge(case, meter)
    consumer = KafkaConsumer(
        case.beats_topic,
        bootstrap_servers=case.address,
        group_id=case.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=BATCH,
        max_partition_fetch_bytes=PARTITION_BYTES,
        metrics_enabled=False,
    )
    producer = KafkaProducer(bootstrap_servers=case.address, metrics_enabled=False)
    committed = time.monotonic()
    while True:
        records = list(chain.from_iterable(consumer.poll(timeout_ms=1000).values()))
        if records:
            for row, alert in judge.abnormal([record.value for record in records]):
                producer.send(case.alerts_topic, key=records[row].key, value=alert)
            judge.done()
        if time.monotonic() - committed > 1:
            producer.flush()
            consumer.commit()
            committed = time.monotonic()
