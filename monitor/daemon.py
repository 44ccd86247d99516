"""The daemon: puts its parts together, runs the loop, and closes everything in order."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from monitor import log
from monitor.alarms.alert import VERSION
from monitor.alarms.episodes import Episodes
from monitor.alarms.threshold import Thresholds
from monitor.broker import KafkaBroker, has_beat_times, kafka_client
from monitor.errors import MonitorError
from monitor.model import artifact
from monitor.model.scorer import Scorer
from monitor.pipeline.loop import Loop
from monitor.pipeline.personal import PersonalJudge, episode_rule, uses_profiles
from monitor.pipeline.step import Components
from monitor.telemetry.clock import SYSTEM_CLOCK
from monitor.telemetry.health import Health
from monitor.telemetry.metrics import Metrics, process_registry
from monitor.telemetry.recorder import Recorder
from monitor.telemetry.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.settings import Settings

logger = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT_BYTES = 256 * 1024 * 1024


def run(settings: Settings) -> None:
    """Judge beats until SIGTERM or SIGINT; a second signal ends the process at once with exit code 130.

    Raises RefusedError when a setting or a file cannot be used, BrokerError when Kafka is unavailable for too long.
    Any other exception, also one of a background thread, is a defect and comes out of here unchanged.
    """
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log.set_up(settings.log_level, settings.log_format)
    shown = " ".join(f"{name}={value}" for name, value in settings.shown().items() if value)
    logger.info("ecg-monitor %s starts with %s", VERSION, shown)
    try:
        is_all_delivered = _serve(settings, stop)
    except MonitorError as error:
        logger.critical("stopped with exit code %d: %s", error.exit_code, error)
        raise
    rest = "everything read is delivered and committed" if is_all_delivered else "the last beats will be read again"
    logger.info("stopped: %s", rest)


def _serve(settings: Settings, stop: _Stop) -> bool:
    """Run the loop and the HTTP server. Returns whether all that was read is delivered."""
    registry, health = process_registry(), Health(SYSTEM_CLOCK.monotonic())
    recorder = Recorder(Metrics(registry), health, settings)
    with serve(settings.http_host, settings.http_port, registry, health) as port:
        logger.info("metrics and health at http://%s:%d", settings.http_host, port)
        with assemble(settings, recorder) as loop:
            stop.is_loop_running = True
            return loop.run(lambda: stop.is_requested)


@contextmanager
def assemble(settings: Settings, recorder: Recorder) -> Iterator[Loop]:
    """The loop with all its parts, connected to Kafka; the connections are closed when the block ends.

    Raises RefusedError when the model or a setting cannot be used, BrokerError when Kafka does not answer.
    """
    model = artifact.load(settings.model, settings.device)
    scorer = Scorer(model, settings.device, settings.batch_size, recorder.device_fell_back)
    scorer.use_one_thread()
    thresholds = Thresholds.from_manifest(model.manifest, settings.threshold)
    model_id = model.manifest.model_id
    recorder.model_loaded(model_id, scorer.device, scorer.memory())
    logger.info("model %s on %s, threshold %g", model_id, scorer.device, thresholds.value)
    recorder.client_chosen(kafka_client(settings).name)
    has_profiles = uses_profiles(settings, model.manifest.window.cut)
    with closing(KafkaBroker(settings, profiles=has_profiles)) as broker:
        personal = None
        if has_profiles:
            personal = PersonalJudge(settings, model_id, has_beat_times=has_beat_times(settings))
        recorder.profiles_used(None if personal is None else personal.counts_now)
        rule = episode_rule(settings, profiles=has_profiles)
        episodes = Episodes(rule, None if personal is None else personal.watched)
        loop = Loop(Components(broker, scorer, thresholds, episodes, recorder, personal), settings, model_id)
        tune_memory()
        yield loop


class _Stop:
    """The signal handler. It asks the loop to stop; before there is a loop it ends the process, with exit code 0.

    The second signal ends the process at once.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self.is_loop_running = False

    def __call__(self, *_: Any) -> None:
        if self.is_requested:
            os._exit(130)
        self.is_requested = True
        if not self.is_loop_running:
            sys.exit(0)


def tune_memory() -> None:
    """Make Python's garbage collector look less often, and keep freed memory for the next arrays.

    Measured on two cores, with kafka-python in batches: 78 thousand beats a second before, 108 thousand after. Frozen
    objects are not looked at again, so the older generations are small and cheap to look at. They are still looked at
    more often than by default (3 and 1 instead of 10 and 10), where garbage of the Kafka client, which refers to
    itself, grew to about 100 MiB before it was collected.

    By default glibc gives the memory of each large array back to the system, and every step pays again for each page
    of its arrays: without scoring, batches of 8192 beats took 1.9 to 2.8 µs of the main thread for each beat, and 1.2
    with this.
    """
    gc.freeze()
    gc.set_threshold(100_000, 3, 1)
    with contextlib.suppress(AttributeError):  # another C library than glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, KEPT_BYTES // 8)
        libc.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
