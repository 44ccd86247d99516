"""`ecg-monitor demo`: everything on one machine, ending by itself with a summary against the known labels."""

from __future__ import annotations

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
from monitor.demo.embedded_broker import SESSION_TIMEOUT_MS, embedded_broker, free_port, stop
from monitor.errors import MonitorError
from monitor.records.record import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.beats.beat_file import BeatFile
    from monitor.settings import Settings

SOURCES = 50
BEATS_PER_SOURCE = 400
RATE = 4000.0  # beats per second over all sources: a hospital of 3,200 leads
BAD_RECORDS = 20
SEED = 7
READY_SECONDS = 60.0
JUDGE_SECONDS = 120.0


def main(data: Path | None, out: Path) -> int:
    """Run it all; 0 when no beat was lost and nearly every planted run of five or more raised an episode."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    folder, model = data or out / "ecg5000", out / "model.safetensors"
    if data is None:
        _step("fetching ECG5000", [*_TRAINER, "fetch", "--out", str(folder)])
    _step("training", [*_TRAINER, "ecg", "--data", str(folder), "--out", str(model)])
    with embedded_broker(out / "broker.log") as address:
        wanted = settings.read(
            bootstrap_servers=address,
            model=model.resolve(),
            scores=True,
            delivery="at-least-once",  # the embedded broker has no transactions
            session_timeout_ms=SESSION_TIMEOUT_MS,
            http_port=free_port(),
        )
        for _ in broker.create_topics(wanted, broker.TopicPlan(4, 1, 168)):
            pass
        with _daemon(wanted, out / "monitor.log"):
            schedule(wanted, _test_beats(folder))
            _wait_until_judged(wanted)
        result = summary.collect(wanted)
    picture = out / "worst-beats.png"
    summary.draw(result, picture)
    click.echo(result.text())
    click.echo(f"picture of the worst beats: {picture}\ndone in {time.monotonic() - began:.0f} s")
    return 0 if result.holds else 1


_TRAINER = (sys.executable, "-m", "trainer")


def _step(what: str, command: list[str]) -> None:
    click.echo(f"— {what}")
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - our own commands
    if code:
        raise MonitorError(f"{what} ended with exit code {code}; what went wrong stands above")


def _test_beats(folder: Path) -> BeatFile:
    """Beats that the model was not trained on."""
    return beat_file.read(next(path for path in sorted(folder.iterdir()) if "TEST" in path.name.upper()))


def schedule(wanted: Settings, beats: BeatFile) -> None:
    """Publish mostly normal beats with runs of abnormal ones, and a few records that are no beats."""
    random = np.random.default_rng(SEED)
    plans = np.stack([_plan(random, BEATS_PER_SOURCE) for _ in range(SOURCES)])
    bad = set(random.choice(plans.size, BAD_RECORDS, replace=False).tolist())
    items = _items(wanted.beats_topic, beats, plans, bad, random)
    with closing(broker.Publisher(wanted)) as publisher:
        paced = stream.paced(items, RATE)
        length = plans.size + BAD_RECORDS
        with click.progressbar(paced, length=length, label="— publishing", file=sys.stderr, show_pos=True) as bar:
            for message, stamp in bar:
                publisher.send(message, stamp)
        publisher.flush()


def _plan(random: np.random.Generator, length: int) -> NDArray[np.bool_]:
    """Which beats of one source are abnormal: 30 to 90 normal ones, then a run of 1 to 12 abnormal ones, and so on."""
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
def _daemon(wanted: Settings, log: Path) -> Iterator[None]:
    """The daemon as a user runs it; it must be ready at the start and end in order."""
    environment = os.environ | {
        "MONITOR_BOOTSTRAP_SERVERS": wanted.bootstrap_servers,
        "MONITOR_MODEL": str(wanted.model),
        "MONITOR_SCORES": "true",
        "MONITOR_DELIVERY": wanted.delivery,
        "MONITOR_SESSION_TIMEOUT_MS": str(wanted.session_timeout_ms),
        "MONITOR_HTTP_PORT": str(wanted.http_port),
    }
    click.echo("— starting the monitor")
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "monitor", "run"], env=environment, stderr=output)
    try:
        _wait_until(READY_SECONDS, lambda: _get(wanted, "/readyz") is not None or process.poll() is not None)
        if process.poll() is None:
            yield
            process.send_signal(signal.SIGTERM)
        if code := process.wait(timeout=30):
            raise MonitorError(f"the monitor ended with exit code {code}: see {log}")
    finally:
        stop(process, 5)


def _wait_until_judged(wanted: Settings) -> None:
    total = SOURCES * BEATS_PER_SOURCE + BAD_RECORDS
    click.echo("— waiting for the last beat to be judged")
    _wait_until(JUDGE_SECONDS, lambda: _judged(wanted) >= total)


def _judged(wanted: Settings) -> float:
    """Records that the daemon's own metrics account for."""
    names = ("ecg_monitor_beats_total", "ecg_monitor_dead_letters_total")
    families = text_string_to_metric_families(_get(wanted, "/metrics") or "")
    return sum(sample.value for family in families for sample in family.samples if sample.name in names)


def _get(wanted: Settings, path: str) -> str | None:
    """The page, or None while it is not there or not well."""
    try:
        url = f"http://{wanted.http_host}:{wanted.http_port}{path}"
        with urllib.request.urlopen(url, timeout=5) as page:
            return str(page.read().decode())
    except OSError:
        return None


def _wait_until(seconds: float, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise MonitorError(f"the monitor did not get there within {seconds:g} s: see its log")
        time.sleep(0.1)
