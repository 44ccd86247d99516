"""What tutorials do: take a record, call the model on it, send an alert, take the next one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import orjson
from kafka import KafkaConsumer, KafkaProducer

from monitor.scorer import Scorer

if TYPE_CHECKING:
    from bench.case import Case


def judge_one_by_one(case: Case, group: str) -> float:
    """Seconds from the first record to the last commit; offsets are committed each second, as the monitor does."""
    settings = case.settings(group)
    scorer, threshold = Scorer(case.model, "cpu", 1), case.model.manifest.threshold.value
    consumer = KafkaConsumer(
        settings.beats_topic,
        bootstrap_servers=case.address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=settings.session_timeout_ms,
    )
    producer = KafkaProducer(bootstrap_servers=case.address)
    began = committed = 0.0
    for count, record in enumerate(consumer, start=1):
        began = began or time.perf_counter()
        samples = np.frombuffer(record.value, "<f4")[np.newaxis]
        score = float(scorer.score(samples).score[0])
        if score > threshold:
            producer.send(settings.alerts_topic, key=record.key, value=orjson.dumps({"score": score}))
        if time.perf_counter() - committed > 1:
            producer.flush()
            consumer.commit()
            committed = time.perf_counter()
        if count == case.beats:
            break
    producer.flush()
    consumer.commit()
    seconds = time.perf_counter() - began
    consumer.close()
    producer.close()
    return seconds
