"""confluent-kafka, the C client, in a careful batch loop: its queues set up, and CRCs checked as the monitor does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer

from bench.judge import BATCH, Judge

if TYPE_CHECKING:
    from bench.case import Case, Meter

TUNED = {
    "check.crcs": True,
    "fetch.queue.backoff.ms": 2,  # the default of 1000 delays a fast consumer
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 65_536,
    "max.partition.fetch.bytes": 4 * 1024 * 1024,
}


def judge(case: Case, meter: Meter) -> None:
    judge = Judge(case, meter)
    wait_seconds = float(case.options["wait_seconds"])
    own = {"group.id": case.group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": case.address} | own | TUNED)
    consumer.subscribe([case.beats_topic])
    producer = Producer({"bootstrap.servers": case.address, "linger.ms": 0})
    committed, is_new = time.monotonic(), False
    while True:
        messages = [message for message in consumer.consume(BATCH, wait_seconds) if message.error() is None]
        if messages:
            for row, alert in judge.abnormal([message.value() for message in messages]):
                producer.produce(case.alerts_topic, alert, messages[row].key())
            producer.poll(0)
            judge.done()
            is_new = True
        if is_new and time.monotonic() - committed > 1:
            producer.flush()
            consumer.commit(asynchronous=False)
            committed, is_new = time.monotonic(), False
