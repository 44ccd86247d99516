"""The usual tutorial loop: read one record, call the model, send an alert, read the next record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kafka import KafkaConsumer, KafkaProducer

from bench.judge import Judge

if TYPE_CHECKING:
    from bench.case import Case, Meter


def judge(case: Case, meter: Meter) -> None:
    judge = Judge(case, meter)
    consumer = KafkaConsumer(
        case.beats_topic,
        bootstrap_servers=case.address,
        group_id=case.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = KafkaProducer(bootstrap_servers=case.address)
    committed = time.monotonic()
    for record in consumer:
        for _, alert in judge.abnormal((record.value,)):
            producer.send(case.alerts_topic, key=record.key, value=alert)
        judge.done()
        if time.monotonic() - committed > 1:
            producer.flush()
            consumer.commit()
            committed = time.monotonic()
