"""bytewax: its Kafka source, `flat_map_batch`, its Kafka sink. It commits no offsets to the group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

from bench.contenders.confluent import TUNED
from bench.judge import BATCH, Judge

if TYPE_CHECKING:
    from bench.case import Case, Meter


def judge(case: Case, meter: Meter) -> None:
    judge = Judge(case, meter)

    def alerts(messages: list[object]) -> list[KafkaSinkMessage[bytes, bytes]]:
        found = judge.abnormal([message.value for message in messages])
        made = [KafkaSinkMessage(messages[row].key, alert) for row, alert in found]
        judge.done()
        return made

    flow = Dataflow("beats")
    settings = {name: str(value).lower() for name, value in TUNED.items()}
    source = KafkaSource([case.address], [case.beats_topic], batch_size=BATCH, add_config=settings)
    beats = op.input("beats", flow, source)
    found = op.flat_map_batch("judge", beats, alerts)
    op.output("alerts", found, KafkaSink([case.address], case.alerts_topic, add_config={"linger.ms": "0"}))
    cli_main(flow)
