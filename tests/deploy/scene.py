"""One Prometheus, seven deployments: in one nothing is wrong, in each of the others something is.

Each is a job of its own, with topics of its own, so that faults do not hide each other.
"""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from monitor import cli
from monitor.broker import TopicPlan, create_topics
from monitor.demo.embedded_broker import embedded_broker
from tests.chaos.cluster import steady_port
from tests.conftest import settings_on
from tests.deploy import plants, saboteur
from tests.deploy.plants import BROKEN, CUT_OFF, HEALTHY, JOBS, NOISY, RESTLESS, SILENT, SLOW
from tests.deploy.prometheus import Fired, Pace, Prometheus
from tests.deploy.traffic import Stock, Traffic
from tests.e2e.daemon import TOPICS, Daemon, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.settings import Settings

PACE = Pace(
    factor=30,  # 5 minutes are 10 seconds
    special={
        # half an hour against the day before would still be two minutes
        "EcgMonitorAbnormalShareDrift": 180,
        "job:ecg_monitor_abnormal_beats:ratio_rate30m": 180,
        # they count within a range: what is tried again every few seconds must fit in
        **dict.fromkeys(("EcgMonitorRestarting", "EcgMonitorDeliveryFailing", "EcgMonitorBrokerFailing"), 10),
        # they look at what happened at the start, and wait for nothing
        **dict.fromkeys(("EcgMonitorRecordsLost", "EcgMonitorStateIgnored", "EcgMonitorControlIgnored"), 3),
    },
)
PAUSE_SECONDS = 0.1
RESTARTS = 3
TINY = 1e-6  # a threshold below every score


class Saboteur(Daemon):
    command = (sys.executable, str(Path(saboteur.__file__)), "run")


@dataclass
class Scene:
    """The deployments, while they last."""

    stack: ExitStack
    folder: Path
    address: str
    model: Path
    stock: Stock
    settings: dict[str, Settings] = field(default_factory=dict)
    daemons: dict[str, list[Daemon]] = field(default_factory=dict)  # by job

    def place(self, job: str, **overrides: Any) -> Settings:
        """Topics for a deployment, and a folder for its logs."""
        (self.folder / job).mkdir(parents=True)
        self.settings[job] = settings = settings_on(overrides.pop("address", self.address), **overrides)
        list(create_topics(settings, TopicPlan(2, 1, 1)))
        return settings

    def start(self, job: str, name: str, kind: type[Daemon] = Daemon, **variables: str) -> None:
        count = sum(map(len, self.daemons.values()))
        variables |= {"MONITOR_INSTANCE": name, "MONITOR_HTTP_PORT": str(port := steady_port())}
        daemon = kind(self.settings[job], self.model, self.folder / job / f"log-{count}", **variables)
        daemon.port = port
        self.daemons.setdefault(job, []).append(self.stack.enter_context(daemon))

    def wait_until_ready(self) -> None:
        for daemon in chain.from_iterable(self.daemons.values()):
            daemon.wait_until(partial(_is_ready, daemon), "ready")

    def ports(self) -> dict[str, list[int]]:
        return {job: [daemon.port for daemon in daemons] for job, daemons in self.daemons.items()}

    def kill(self, *jobs: str) -> None:
        """All monitors of these jobs; of all, where none is named."""
        for job in jobs or JOBS:
            for daemon in self.daemons[job]:
                daemon.process.kill()
                daemon.process.wait()

    def run(self, job: str, *arguments: str) -> None:
        """A command of `ecg-monitor` against a deployment's topics."""
        settings = self.settings[job]
        names = ("bootstrap_servers", "delivery", *TOPICS)
        environment = {f"MONITOR_{name.upper()}": str(getattr(settings, name)) for name in names}
        done = CliRunner().invoke(cli.commands, arguments, env=clean_environment() | environment)
        assert done.exit_code == 0, done.output


def _is_ready(daemon: Daemon) -> bool:
    threading.Event().wait(PAUSE_SECONDS)
    return daemon.get("/readyz")[0] == 200


@contextmanager
def played(program: str, scene: Scene) -> Iterator[Prometheus]:
    """The scene from its start until everything planted has fired."""
    with ExitStack() as broker:
        away = broker.enter_context(embedded_broker(scene.folder / "broker.log"))
        _set_up(scene, away)
        scene.stack.callback(scene.kill)
        traffic = scene.stack.enter_context(Traffic(scene.settings[HEALTHY]))
        _flow(scene, traffic)
        scene.wait_until_ready()
        prometheus = scene.stack.enter_context(Prometheus(program, scene.folder, scene.ports(), PACE))
        prometheus.wait_for(f'job:ecg_monitor_beats:rate5m{{job="{SILENT}"}} > 0')
    traffic.stop(SILENT)
    for plant in (saboteur.TIGHT, saboteur.PAUSED):
        (scene.folder / BROKEN / plant).touch()
    restless = scene.stock.strangers(scene.settings[RESTLESS].beats_topic, "restless", 5)
    traffic.start(RESTLESS, restless, 20)
    _restart(scene.daemons[RESTLESS][0], prometheus)
    # its day before, as fast as days pass here, has to be a usual one
    prometheus.wait_for(f'job:ecg_monitor_abnormal_beats:ratio_rate30m{{job="{NOISY}"}} offset 15s')
    scene.run(NOISY, "threshold", "set", "--value", str(TINY))
    _wait_for(plants.FIRST, prometheus)
    (scene.folder / BROKEN / saboteur.HUNG).touch()
    scene.kill(SILENT)
    _wait_for(plants.SECOND, prometheus)
    yield prometheus


def _set_up(scene: Scene, away: str) -> None:
    scene.place(HEALTHY)
    scene.start(HEALTHY, "monitor-1")
    scene.start(HEALTHY, "monitor-2")
    plants.spoil(scene.place(NOISY))
    scene.start(NOISY, "monitor-1", MONITOR_MAX_AGE_SECONDS=str(plants.OLD_SECONDS // 2))
    plants.pile_up(scene.place(SLOW, batch_size=1, scores=True), scene.stock)
    scene.start(SLOW, "monitor-1")
    scene.place(BROKEN)
    scene.start(BROKEN, "monitor-1", Saboteur)
    scene.place(CUT_OFF, address=away, delivery="at-least-once")
    scene.start(CUT_OFF, "monitor-1")
    plants.narrow(scene.place(RESTLESS))
    scene.start(RESTLESS, "monitor-1", MONITOR_THRESHOLD=str(TINY))
    scene.place(SILENT)
    scene.start(SILENT, "monitor-1", MONITOR_THRESHOLD="0.2")
    scene.start(SILENT, "monitor-2", MONITOR_THRESHOLD="0.3")


def _flow(scene: Scene, traffic: Traffic) -> None:
    stock, topic = scene.stock, {job: settings.beats_topic for job, settings in scene.settings.items()}
    traffic.start(HEALTHY, stock.beats(topic[HEALTHY], 100, abnormal_share=0.02), 200)
    traffic.start(SLOW, stock.beats(topic[SLOW], 20, age_seconds=plants.OLD_SECONDS), 400)
    for job in (BROKEN, SILENT):
        traffic.start(job, stock.beats(topic[job], 20), 50)
    for number, (records, rate) in enumerate(plants.noise(stock, topic[NOISY])):
        traffic.start(f"{NOISY}-{number}", records, rate)


def _restart(daemon: Daemon, prometheus: Prometheus) -> None:
    """Kill and start a process again and again, each life long enough to be scraped."""
    asked = f'process_start_time_seconds{{instance="127.0.0.1:{daemon.port}"}}'
    for _ in range(RESTARTS):
        (seen,) = prometheus.query(asked)
        daemon.process.kill()
        daemon.process.wait()
        daemon.__exit__()
        daemon.__enter__()
        prometheus.wait_for(f"{asked} > {seen['value'][1]}")


def _wait_for(wanted: set[Fired], prometheus: Prometheus) -> None:
    try:
        prometheus.wait_until(lambda: wanted <= prometheus.fired(), "all that is planted fires")
    except AssertionError as error:
        raise AssertionError(f"never fired: {sorted(wanted - prometheus.fired())}") from error
