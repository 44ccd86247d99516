"""One Prometheus that watches seven deployments: one is healthy, each of the others has a fault.

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
from tests.deploy import faults, faulty_monitor
from tests.deploy.faults import BROKEN, CUT_OFF, FORWARDER, HEALTHY, JOBS, NOISY, RESTLESS, SILENT, SLOW
from tests.deploy.prometheus import Fired, Pace, Prometheus
from tests.deploy.traffic import BeatPool, Traffic
from tests.e2e.daemon import TOPICS, Daemon, clean_environment
from tests.e2e.forwarding import ForwardProcess
from tests.forward.pieces import Received, receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.settings import Settings

PACE = Pace(
    factor=30,  # 5 minutes are 10 seconds
    special={
        # half an hour against the day before would still be two minutes
        "EcgMonitorAbnormalShareDrift": 180,
        "job:ecg_monitor_abnormal_beats:ratio_rate30m": 180,
        "EcgMonitorAlarmBurden": 360,  # six hours would still be twelve minutes
        # they count within a range: what is tried again every few seconds must fit in
        **dict.fromkeys(("EcgMonitorRestarting", "EcgMonitorDeliveryFailing", "EcgMonitorBrokerFailing"), 10),
        # they look at what happened at the start, and wait for nothing
        **dict.fromkeys(("EcgMonitorRecordsLost", "EcgMonitorStateIgnored", "EcgMonitorControlIgnored"), 3),
    },
)
PAUSE_SECONDS = 0.1
RESTARTS = 3
TINY = 1e-6  # a threshold below every score


class FaultyDaemon(Daemon):
    command = (sys.executable, str(Path(faulty_monitor.__file__)), "run")


@dataclass
class FaultyDeployments:
    """The deployments, until the block ends."""

    stack: ExitStack
    folder: Path
    address: str
    model: Path
    stock: BeatPool
    settings: dict[str, Settings] = field(default_factory=dict)
    daemons: dict[str, list[Daemon]] = field(default_factory=dict)  # by job
    forwarders: list[Daemon] = field(default_factory=list)

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

    def forward(self, job: str) -> None:
        """Forwarders of a deployment's alarms: the receiver of one is away, that of the other refuses all."""
        refusing = Received()
        refusing.answers = [(422, {})] * 10_000
        port = self.stack.enter_context(receiver(refusing))
        for kind, url in (("webhook", "http://127.0.0.1:1"), ("alertmanager", f"http://127.0.0.1:{port}")):
            process = ForwardProcess(self.settings[job], kind, url, self.folder / job / f"log-forward-{kind}")
            self.forwarders.append(self.stack.enter_context(process))

    def wait_until_ready(self) -> None:
        for daemon in chain.from_iterable(self.daemons.values()):
            daemon.wait_until(partial(_is_ready, daemon), "ready")

    def ports(self) -> dict[str, list[int]]:
        found = {job: [daemon.port for daemon in daemons] for job, daemons in self.daemons.items()}
        return found | {FORWARDER: [one.port for one in self.forwarders]}

    def kill(self, *jobs: str) -> None:
        """All monitors of these jobs, or of all jobs if none is named."""
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
def all_faults_planted(program: str, deployments: FaultyDeployments) -> Iterator[Prometheus]:
    """Run the deployments until every planted fault has fired its alert."""
    with ExitStack() as broker:
        away = broker.enter_context(embedded_broker(deployments.folder / "broker.log"))
        _set_up(deployments, away)
        deployments.stack.callback(deployments.kill)
        traffic = deployments.stack.enter_context(Traffic(deployments.settings[HEALTHY]))
        _flow(deployments, traffic)
        deployments.wait_until_ready()
        prometheus = deployments.stack.enter_context(Prometheus(program, deployments.folder, deployments.ports(), PACE))
        prometheus.wait_for(f'job:ecg_monitor_beats:rate5m{{job="{SILENT}"}} > 0')
    traffic.stop(SILENT)
    deployments.stack.enter_context(faults.held_back(deployments.settings[SILENT]))
    for plant in (faulty_monitor.TIGHT, faulty_monitor.PAUSED):
        (deployments.folder / BROKEN / plant).touch()
    restless = deployments.stock.strangers(deployments.settings[RESTLESS].beats_topic, "restless", 5)
    traffic.start(RESTLESS, restless, 20)
    _restart(deployments.daemons[RESTLESS][0], prometheus)
    # its day before, as fast as days pass here, has to be a usual one
    prometheus.wait_for(f'job:ecg_monitor_abnormal_beats:ratio_rate30m{{job="{NOISY}"}} offset 15s')
    deployments.run(NOISY, "threshold", "set", "--value", str(TINY))
    _wait_for(faults.FIRST, prometheus)
    (deployments.folder / BROKEN / faulty_monitor.HUNG).touch()
    deployments.kill(SILENT)
    _wait_for(faults.SECOND, prometheus)
    yield prometheus


def _set_up(deployments: FaultyDeployments, away: str) -> None:
    deployments.place(HEALTHY)
    deployments.start(HEALTHY, "monitor-1")
    deployments.start(HEALTHY, "monitor-2")
    faults.spoil(deployments.place(NOISY))
    deployments.start(NOISY, "monitor-1", MONITOR_MAX_AGE_SECONDS=str(faults.OLD_SECONDS // 2))
    deployments.forward(NOISY)
    faults.pile_up(deployments.place(SLOW, batch_size=1, scores=True), deployments.stock)
    deployments.start(SLOW, "monitor-1")
    deployments.place(BROKEN)
    deployments.start(BROKEN, "monitor-1", FaultyDaemon)
    deployments.place(CUT_OFF, address=away, delivery="at-least-once")
    deployments.start(CUT_OFF, "monitor-1")
    faults.narrow(deployments.place(RESTLESS))
    deployments.start(RESTLESS, "monitor-1", MONITOR_THRESHOLD=str(TINY))
    deployments.place(SILENT)
    deployments.start(SILENT, "monitor-1", MONITOR_THRESHOLD="0.2")
    deployments.start(SILENT, "monitor-2", MONITOR_THRESHOLD="0.3")


def _flow(deployments: FaultyDeployments, traffic: Traffic) -> None:
    stock, topic = deployments.stock, {job: settings.beats_topic for job, settings in deployments.settings.items()}
    traffic.start(HEALTHY, stock.beats(topic[HEALTHY], 100, abnormal_share=0.02), 200)
    traffic.start(SLOW, stock.beats(topic[SLOW], 20, age_seconds=faults.OLD_SECONDS), 400)
    for job in (BROKEN, SILENT):
        traffic.start(job, stock.beats(topic[job], 20), 50)
    for number, (records, rate) in enumerate(faults.noise(stock, topic[NOISY])):
        traffic.start(f"{NOISY}-{number}", records, rate)


def _restart(daemon: Daemon, prometheus: Prometheus) -> None:
    """Kill and start a process repeatedly. Each process lives long enough to be scraped."""
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
