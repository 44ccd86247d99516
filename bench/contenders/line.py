"""The monitor, put together as its daemon does. It does more than the peers: checks, episodes, state, metrics."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter

from monitor.alarms.episodes import Episodes
from monitor.alarms.rule import EpisodeRule
from monitor.alarms.threshold import Thresholds
from monitor.broker import KafkaBroker, TopicPlan, create_topics
from monitor.daemon import tune_memory
from monitor.model import artifact
from monitor.model.scorer import Scorer, use_one_thread
from monitor.pipeline.loop import Loop
from monitor.pipeline.step import Components
from monitor.telemetry.health import Health
from monitor.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from bench.case import Case, Meter


def judge(case: Case, meter: Meter) -> None:
    settings = case.settings(**case.options)
    list(create_topics(settings, TopicPlan(case.partitions, 1, 168)))  # the state topic of this group
    use_one_thread()
    model, metrics = artifact.load(Path(case.model), "cpu"), Metrics(CollectorRegistry())
    scorer = Scorer(model, "cpu", settings.batch_size)
    rule = EpisodeRule(settings.episode_open, settings.episode_window, settings.episode_close, 60_000)
    with closing(KafkaBroker(settings)) as broker:
        thresholds = Thresholds.from_manifest(model.manifest)
        worker = Loop(
            Components(broker, scorer, thresholds, Episodes(rule), metrics, Health()), settings, model.manifest.model_id
        )
        tune_memory()
        judged = abnormal = 0
        while True:
            worker.turn()
            before = judged, abnormal
            judged, abnormal = map(_count, (metrics.beats, metrics.abnormal_beats))
            meter.note(judged - before[0], abnormal - before[1])


def _count(counter: Counter) -> int:
    """Of one metric alone: a look at the whole registry each turn would cost a tenth of a microsecond a beat."""
    (metric,) = counter.collect()
    return int(metric.samples[0].value)
