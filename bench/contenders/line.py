"""The monitor, put together as its daemon does. It does more than the others: checks, episodes, state, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter

from monitor.broker import TopicPlan, create_topics
from monitor.daemon import assemble
from monitor.telemetry.health import Health
from monitor.telemetry.metrics import Metrics
from monitor.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from bench.case import Case, Meter


def judge(case: Case, meter: Meter) -> None:
    """Judge beats until the meter ends it, on the CPU as all contenders do."""
    settings = case.settings(device="cpu", **case.options)
    list(create_topics(settings, TopicPlan(case.partitions, 1, 168)))  # the state topic of this group
    metrics = Metrics(CollectorRegistry())
    with assemble(settings, Recorder(metrics, Health(), settings)) as loop:
        judged = abnormal = 0
        while True:
            loop.step()
            before = judged, abnormal
            judged, abnormal = map(_count, (metrics.beats, metrics.abnormal_beats))
            meter.note(judged - before[0], abnormal - before[1])


def _count(counter: Counter) -> int:
    """The value of one metric. To collect the whole registry in each step would cost 0.1 µs a beat."""
    (metric,) = counter.collect()
    return int(metric.samples[0].value)
