"""`python -m tests.deploy.healthy --model FILE --data DIR`: two healthy monitors under load.

The rules are the shipped ones at their own speed, scraped and evaluated as `prometheus.yml` says. Exit code 1 when any
alert but the watchdog fires, or the watchdog does not. Kafka comes from KAFKA_HOME.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from monitor.broker import TopicPlan, create_topics
from tests.brokers import kafka_from_folder
from tests.chaos.members import GroupConfig, Member
from tests.conftest import settings_on
from tests.deploy.files import read_yaml
from tests.deploy.prometheus import CONFIG, Pace, Prometheus
from tests.deploy.rulefiles import WATCHDOG
from tests.deploy.traffic import BeatPool, Traffic

JOB = "ecg-monitor"
PARTITIONS = 8
SOURCES = 800  # at 75 beats a minute: 1,000 beats a second
ABNORMAL_SHARE = 0.02
TELL_SECONDS = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a model file of `ecg-trainer ecg`")
    parser.add_argument("--data", type=Path, required=True, help="the folder of ECG5000")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=1000, help="beats a second")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecg-healthy-")))
        address = stack.enter_context(kafka_from_folder(Path(os.environ["KAFKA_HOME"]), folder))
        settings = settings_on(address, session_timeout_ms=45000)
        list(create_topics(settings, TopicPlan(PARTITIONS, 1, 1)))
        group = GroupConfig(settings, asked.model.resolve(), folder, {})
        members = [Member(name, group) for name in ("monitor-1", "monitor-2")]
        for member in members:
            stack.callback(member.close)
            member.start()
        traffic = stack.enter_context(Traffic(settings))
        beats = BeatPool(asked.data).beats(settings.beats_topic, SOURCES, abnormal_share=ABNORMAL_SHARE)
        traffic.start("beats", beats, asked.rate)
        prometheus = stack.enter_context(_prometheus(folder, [member.daemon.port for member in members]))
        return _watch(prometheus, asked.minutes)


def _prometheus(folder: Path, ports: list[int]) -> Prometheus:
    found = shutil.which("prometheus")
    if found is None:
        sys.exit("needs prometheus, of Debian's package prometheus for one")
    shipped = read_yaml(CONFIG)["global"]
    pace = Pace(shipped["scrape_interval"], shipped["evaluation_interval"])
    return Prometheus(found, folder, {JOB: ports}, pace)


def _watch(prometheus: Prometheus, minutes: float) -> int:
    began, pause = time.monotonic(), threading.Event()
    while (passed := time.monotonic() - began) < 60 * minutes:
        pause.wait(min(TELL_SECONDS, 60 * minutes - passed))
        say(_state(prometheus, (time.monotonic() - began) / 60))
    fired = prometheus.fired()
    names = {one.name for one in fired}
    say(f"fired within {minutes:g} minutes: {', '.join(sorted(names)) or 'nothing'}")
    return 0 if names == {WATCHDOG} else 1


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _state(prometheus: Prometheus, minutes: float) -> str:
    def value(expr: str) -> str:
        found = prometheus.query(expr)
        return f"{float(found[0]['value'][1]):.6g}" if found else "none"

    shown = {
        "beats/s": "sum(rate(ecg_monitor_beats_total[1m]))",
        "abnormal": "job:ecg_monitor_abnormal_beats:ratio_rate30m",
        "opened per beat": "job:ecg_monitor_opened_alerts:ratio_rate5m",
        "lag s": "max(ecg_monitor_lag_seconds)",
        "p99 latency s": "histogram_quantile(0.99, sum by (le) (rate(ecg_monitor_alert_latency_seconds_bucket[5m])))",
        "pending": 'count(ALERTS{alertstate="pending"})',
    }
    return "  ".join([f"{minutes:5.1f} min", *(f"{name} {value(expr)}" for name, expr in shown.items())])


if __name__ == "__main__":
    sys.exit(main())
