"""The metrics as Prometheus sees them."""

from __future__ import annotations

import subprocess

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from monitor.telemetry.metrics import SCORE_BUCKETS, Metrics
from tests.deploy.files import program


def test_a_column_is_counted_as_one_value_after_another_would_be():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    values = np.array([0.0005, 0.001, 0.3, 99.0], np.float32)
    metrics.score.observe(values[:2])
    metrics.score.observe(values[2:])
    for edge in SCORE_BUCKETS:
        count = registry.get_sample_value("ecg_monitor_score_bucket", {"le": str(float(edge))})
        assert count == (values.astype(float) <= edge).sum()
    assert registry.get_sample_value("ecg_monitor_score_bucket", {"le": "+Inf"}) == 4
    assert registry.get_sample_value("ecg_monitor_score_count") == 4
    assert registry.get_sample_value("ecg_monitor_score_sum") == values.sum(dtype=np.float64)


def test_every_metric_has_the_prefix_and_a_useful_help_text():
    registry = CollectorRegistry()
    Metrics(registry)
    for family in registry.collect():
        assert family.name.startswith("ecg_monitor_")
        assert len(family.documentation) > 20


def test_series_that_are_known_beforehand_begin_at_zero():
    registry = CollectorRegistry()
    Metrics(registry)
    text = generate_latest(registry).decode()
    assert 'ecg_monitor_dead_letters_total{reason="not-json"} 0.0' in text
    assert 'ecg_monitor_alerts_total{event="opened",kind="technical"} 0.0' in text


def test_promtool_accepts_the_metric_names():
    promtool = program("promtool", "prometheus")
    registry = CollectorRegistry()
    Metrics(registry).partitions.of(0)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(registry), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
