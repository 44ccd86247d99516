"""The monitor, built like its daemon. It does more than the others: checks, episodes, state, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter

from monitor.broker import TopicPlan, create_topics
from monitor.daemon import assemble
from monitor.telemetry.clock import SYSTEM_CLOCK
from monitor.telemetry.health import Health
from monitor.telemetry.metrics import Metrics
from monitor.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from bench.case import Case, Meter


def judge(case: Case, meter: Meter) -> None:
    """Score beats until the meter ends it, on the CPU like all contenders."""
    settings = case.settings(device="cpu", **case.options)
    list(create_topics(settings, TopicPlan(case.partitions, 1, 168)))  # the state topic of this group
    metrics = Metrics(CollectorRegistry())
    with assemble(settings, Recorder(metrics, Health(SYSTEM_CLOCK.monotonic()), settings)) as loop:
        judged = abnormal = 0
        while True:
            loop.step()
            before = judged, abnormal
            judged, abnormal = map(_count, (metrics.beats, metrics.abnormal_beats))
            meter.note(judged - before[0], abnormal - before[1])


def _count(counter: Counter) -> int:
    """The value of one metric. Collecting the whole registry in each step would cost 0.1 µs per beat."""
    (metric,) = counter.collect()
    return int(metric.samples[0].value)
