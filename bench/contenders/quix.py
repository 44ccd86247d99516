"""quixstreams: a BatchingSink, the fastest variant, which scores when it commits; or `apply`, one record at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer
from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

from bench.contenders.confluent import TUNED
from bench.judge import BATCH, Judge

if TYPE_CHECKING:
    from bench.case import Case, Meter


class JudgingSink(BatchingSink):
    """Score all beats since the last commit, about a second of them."""

    def __init__(self, judge: Judge, case: Case) -> None:
        super().__init__()
        self._judge, self._topic = judge, case.alerts_topic
        self._producer = Producer({"bootstrap.servers": case.address, "linger.ms": 0})

    def write(self, batch: SinkBatch) -> None:
        for items in batch.iter_chunks(BATCH):
            for row, alert in self._judge.abnormal([item.value for item in items]):
                self._producer.produce(self._topic, alert, items[row].key)
            self._producer.poll(0)
            self._judge.done()
        self._producer.flush()


def judge(case: Case, meter: Meter) -> None:
    judge = Judge(case, meter)
    app = Application(
        broker_address=case.address,
        consumer_group=case.group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        auto_create_topics=False,
        consumer_extra_config=TUNED,
        producer_extra_config={"linger.ms": 0},
        loglevel="ERROR",
    )
    beats = app.dataframe(app.topic(case.beats_topic, value_deserializer="bytes", key_deserializer="bytes"))
    if case.options["style"] == "sink":
        beats.sink(JudgingSink(judge, case))
    else:
        alerts = app.topic(case.alerts_topic, value_serializer="bytes", key_serializer="bytes")
        beats.apply(lambda value: _alert(judge, value)).filter(lambda alert: alert is not None).to_topic(alerts)
    app.run()


def _alert(judge: Judge, value: Any) -> bytes | None:
    found = [alert for _, alert in judge.abnormal((value,))]
    judge.done()
    return found[0] if found else None
