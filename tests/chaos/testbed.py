"""The environment of a scenario: Kafka, the published beats, and two groups that read them, one of them undisturbed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from monitor.broker import TopicPlan, create_topics
from tests.chaos import load, readback
from tests.chaos.cluster import Cluster
from tests.chaos.deadline import Deadline
from tests.chaos.members import GroupConfig, Member
from tests.conftest import settings_on

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.settings import Settings
    from tests.chaos.scenarios import Scenario

RETENTION_HOURS = 168
READY_SECONDS = 90.0
REFERENCE_SECONDS = 600.0
REFERENCE_BATCH = 2048


@dataclass(frozen=True, slots=True)
class Inputs:
    """Paths and options of a run."""

    home: Path  # a folder of Apache Kafka
    model: Path
    data: Path  # ECG5000
    folder: Path  # for data and logs
    delivery: str | None  # None: the monitor's default


class Testbed:
    """Kafka, topics and load until the block ends, and with it every process that was started here."""

    def __init__(self, inputs: Inputs, plan: Scenario, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        self._inputs = inputs
        self._open = ExitStack()

    def __enter__(self) -> Self:
        plan, inputs = self.plan, self._inputs
        with self._open:
            self.cluster = self._open.enter_context(Cluster(inputs.home, inputs.folder / "kafka", plan.nodes))
            options = {"session_timeout_ms": plan.session_timeout_ms, "scores": plan.scores}
            self.settings = settings_on(self.cluster.address, batch_size=plan.batch_size, **options)
            self._undisturbed = settings_on(
                self.cluster.address, beats_topic=self.settings.beats_topic, batch_size=REFERENCE_BATCH, **options
            )
            for settings in (self.settings, self._undisturbed):
                list(create_topics(settings, TopicPlan(plan.partitions, -1, RETENTION_HOURS)))
            self.members = [self._member(f"member-{number}", self.settings) for number in range(plan.members)]
            self.feeder = self._feeder()
            self._open.callback(self.feeder.close)
            self._open = self._open.pop_all()
        return self

    def _feeder(self) -> load.Feeder:
        plan = self.plan
        wanted = load.Load(plan.beats, plan.sources, plan.bad, self.seed)
        items = load.records(load.stock(self._inputs.data, self._inputs.model), wanted, self.settings.beats_topic)
        return load.Feeder(self.settings, items)

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _member(self, name: str, settings: Settings) -> Member:
        variables = {
            "MONITOR_EPISODE_SILENCE_SECONDS": str(load.SILENCE_SECONDS),
            "MONITOR_NO_SIGNAL_SECONDS": str(load.NO_SIGNAL_SECONDS),
            "MONITOR_PROFILE_SECONDS": str(load.PROFILE_SECONDS),
        }
        if self._inputs.delivery is not None:
            variables["MONITOR_DELIVERY"] = self._inputs.delivery
        member = Member(name, GroupConfig(settings, self._inputs.model, self._inputs.folder, variables))
        self._open.callback(member.close)
        return member

    def stop_monitors(self) -> None:
        """End every monitor, and start every node."""
        for member in self.members:
            member.abort()
        for node in self.cluster.nodes.values():
            node.thaw()
            if not node.is_up:
                node.start()
            node.wait_until_up()

    def run_undisturbed(self) -> Settings:
        """Score the whole load with one undisturbed monitor. Return the settings with its topics."""
        member = self._member("undisturbed", self._undisturbed)
        member.start()
        deadline = Deadline(REFERENCE_SECONDS, f"the undisturbed run, see {self._inputs.folder}/undisturbed.log")
        while readback.behind(self._undisturbed) != 0:
            if (ended := member.ended()) is not None:
                raise RuntimeError(f"the undisturbed monitor ended with exit code {ended.code}: {ended.message}")
            deadline.wait(0.2)
        if code := member.leave():
            raise RuntimeError(f"the undisturbed monitor left with exit code {code}: {member.last_line()}")
        return self._undisturbed
