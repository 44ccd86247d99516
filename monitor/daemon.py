"""The daemon's life: build every part, run the loop, close in order."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from monitor import log
from monitor.alarms.alert import VERSION
from monitor.alarms.episodes import Episodes
from monitor.alarms.rule import EpisodeRule
from monitor.alarms.threshold import Thresholds
from monitor.broker import KafkaBroker
from monitor.errors import MonitorError
from monitor.model import artifact
from monitor.model.scorer import Scorer, use_one_thread
from monitor.pipeline.loop import Loop
from monitor.pipeline.step import Components
from monitor.telemetry import health
from monitor.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from monitor.model.manifest import Model
    from monitor.settings import Settings

logger = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT_BYTES = 256 * 1024 * 1024


def run(settings: Settings) -> None:
    """Judge beats until SIGTERM or SIGINT; a second signal ends the process at once, with 130.

    Raises RefusedError for what cannot be used, BrokerError when Kafka stays away.
    """
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log.set_up(settings.log_level, settings.log_format)
    shown = " ".join(f"{name}={value}" for name, value in settings.shown().items() if value)
    logger.info("ecg-monitor %s starts with %s", VERSION, shown)
    try:
        is_whole = _serve(settings, stop)
    except MonitorError as error:
        logger.critical("stopped with exit code %d: %s", error.exit_code, error)
        raise
    rest = "everything read is delivered and committed" if is_whole else "the last beats will be read again"
    logger.info("stopped: %s", rest)


def _serve(settings: Settings, stop: _Stop) -> bool:
    """Whether everything that was read is delivered."""
    registry = _registry()
    metrics, state = Metrics(registry), health.Health()
    _tell_verdicts(state, metrics)
    metrics.config_info.info(_told(settings))
    use_one_thread()
    with health.serve(settings.http_host, settings.http_port, registry, state) as port:
        logger.info("metrics and health at http://%s:%d", settings.http_host, port)
        model = artifact.load(settings.model, settings.device)
        scorer = Scorer(model, settings.device, settings.batch_size, metrics.device_fallbacks.inc)
        thresholds = Thresholds.from_manifest(model.manifest, settings.threshold)
        _tell_model(model, scorer, thresholds.value, metrics)
        with closing(KafkaBroker(settings)) as broker:
            line = Components(broker, scorer, thresholds, _episodes(settings), metrics, state)
            worker = Loop(line, settings, model.manifest.model_id)
            tune_memory()
            stop.in_loop = True
            return worker.run(lambda: stop.asked)


class _Stop:
    """What a signal does: ask the loop to stop; before there is a loop, end; the second time, end at once."""

    def __init__(self) -> None:
        self.asked = False
        self.in_loop = False

    def __call__(self, *_: Any) -> None:
        if self.asked:
            os._exit(130)
        self.asked = True
        if not self.in_loop:
            sys.exit(0)


def _registry() -> CollectorRegistry:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def _tell_verdicts(state: health.Health, metrics: Metrics) -> None:
    """Asked for when somebody scrapes: what a probe would be told then."""
    metrics.ready.set_function(lambda: not state.ready(time.monotonic()))
    metrics.healthy.set_function(lambda: not state.live(time.monotonic()))
    metrics.joined.set_function(lambda: state.joined)


def _told(settings: Settings) -> dict[str, str]:
    """Settings that a dashboard shows."""
    rule = f"{settings.episode_open} of {settings.episode_window}, closes after {settings.episode_close}"
    return {
        "group_id": settings.group_id,
        "delivery": settings.delivery,
        "name": settings.instance,
        "episode": rule,
        "batch_size": str(settings.batch_size),
    }


def _tell_model(model: Model, scorer: Scorer, threshold: float, metrics: Metrics) -> None:
    metrics.model_info.info({"model_id": model.manifest.model_id, "device": scorer.device})
    metrics.build_info.info({"version": VERSION})
    for kind, ask in scorer.memory().items():
        metrics.gpu_memory.labels(kind).set_function(ask)
    logger.info("model %s on %s, threshold %g", model.manifest.model_id, scorer.device, threshold)


def _episodes(settings: Settings) -> Episodes:
    silence_ms = int(1000 * settings.episode_silence_seconds)
    return Episodes(EpisodeRule(settings.episode_open, settings.episode_window, settings.episode_close, silence_ms))


def tune_memory() -> None:
    """Let the garbage collector look less often, and keep what large arrays leave for the next ones.

    Measured on two cores, kafka-python in batches: 78 → 108 thousand beats a second. What is frozen is not looked at
    again, so the older generations are small and cheap to look at: at the default of 10 and 10, what the client leaves
    in cycles came to some 100 MiB before anybody did.

    By itself glibc hands each array of a step back to the system, and the next step pays for every page of it anew:
    batches of 8192 beats took 1.9 to 2.8 µs of the main thread a beat without scoring, with this 1.2.
    """
    gc.freeze()
    gc.set_threshold(100_000, 3, 1)
    with contextlib.suppress(AttributeError):  # another C library than glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, KEPT_BYTES // 8)
        libc.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
