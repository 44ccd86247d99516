"""Kills, freezes, stops and restarts monitors and Kafka nodes at random moments, while beats are published."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.chaos import readback
from tests.chaos.deadline import Deadline
from tests.chaos.members import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.chaos.cluster import Node
    from tests.chaos.members import Member
    from tests.chaos.testbed import Testbed

TURN_SECONDS = 0.03
LOOK_SECONDS = 0.25
READY_SECONDS = 20.0  # a group may be busy with itself for longer; then it is hit as it is
WHOLE_SECONDS = 90.0
UNREADY_SHARE = 0.25  # of the acts come whether their member is ready or not
START_SECONDS = 3.0  # about what a member takes to get ready
LEAVE_SECONDS = 60.0
IN_ORDER = (0, -15)  # exit codes after SIGTERM; the latter before the monitor listens to signals


@dataclass(slots=True)
class Tally:
    """The acts, and how monitors ended that were not killed."""

    kills: int = 0
    kills_with_work: int = 0  # beats were waiting or in hand
    freezes: int = 0
    leaves: int = 0
    node_kills: int = 0
    ended: list[Ended] = field(default_factory=list)
    left: list[Ended] = field(default_factory=list)  # was asked to, but not with 0
    drain_seconds: float = 0.0
    acts: list[str] = field(default_factory=list)  # what happened and when, to find the cause of a difference


class Disturbances:
    """One run of a plan's acts, in an order and at times drawn from the seed."""

    def __init__(self, stage: Testbed) -> None:
        self._stage = stage
        self._plan = stage.plan
        self._rng = random.Random(stage.seed)
        self._later: list[tuple[float, Callable[[], None], str]] = []
        self._looked = 0.0
        self._limit = Deadline(self._plan.limit_seconds, "every act played and the load judged to its end")
        self.tally = Tally()

    def run(self) -> None:
        """Wait until every beat is committed, then end every member. Raises TimeoutError if that takes too long."""
        plan = self._plan
        acts = ["kill"] * plan.kills + ["freeze"] * plan.freezes + ["leave"] * plan.leaves
        acts += ["node"] * plan.node_kills
        self._rng.shuffle(acts)
        records = plan.beats + plan.bad
        for member in self._stage.members:
            member.start()
        for count, act in enumerate(acts, 1):
            self._act(act, records * count // len(acts))
        self._stage.feeder.allow(records)
        self._calm()

    def _act(self, act: str, records: int) -> None:
        """Publish the load up to `records`, and disturb the members while it is scored."""
        self._until(lambda: bool(self._running()), self._plan.limit_seconds)
        pause = (0.0, START_SECONDS)
        if self._rng.random() >= UNREADY_SHARE:
            victim, pause = self._victim(), self._plan.pause_seconds
            self._until(lambda: victim is None or self._look(victim.is_ready), READY_SECONDS)
        self._stage.feeder.allow(records)
        self._pause(pause)
        if act == "node":
            self._kill_node()
        elif (victim := self._victim()) is not None:
            {"kill": self._kill, "freeze": self._freeze, "leave": self._leave}[act](victim)

    def _running(self) -> list[Member]:
        return [member for member in self._stage.members if member.state == "running"]

    def _victim(self) -> Member | None:
        running = self._running()
        return self._rng.choice(running) if running else None

    def _kill(self, victim: Member) -> None:
        victim.kill()
        self._note(f"kill {victim.name}")
        self.tally.kills += 1
        if all(node.is_up for node in self._stage.cluster.nodes.values()):
            self.tally.kills_with_work += bool(readback.behind(self._stage.settings))
        self._in(self._plan.away_seconds, victim.start, f"start {victim.name}")

    def _freeze(self, victim: Member) -> None:
        victim.freeze()
        self._note(f"freeze {victim.name}")
        self.tally.freezes += 1
        self._in(self._plan.freeze_seconds, victim.thaw, f"thaw {victim.name}")

    def _leave(self, victim: Member) -> None:
        victim.ask_to_leave()
        self._note(f"send {victim.name} away")
        self.tally.leaves += 1
        self._see_off(victim, Deadline(LEAVE_SECONDS, f"{victim.name} gone after SIGTERM"))

    def _see_off(self, member: Member, deadline: Deadline) -> None:
        """Check repeatedly until the process has ended, then restart it."""
        if member.is_gone():
            self._note_leave(member)
            self._in(self._plan.away_seconds, member.start, f"start {member.name}")
        else:
            deadline.wait(0)
            self._in((0.2, 0.2), lambda: self._see_off(member, deadline))

    def _note_leave(self, member: Member) -> None:
        code = member.wait_until_gone()
        if code not in IN_ORDER:
            self.tally.left.append(Ended(member.name, code, member.last_line()))

    def _kill_node(self) -> None:
        """Kill one node at a time: in turn the leader of beats, a transaction coordinator, the group's coordinator."""
        cluster = self._stage.cluster
        if not self._until(lambda: self._look(cluster.is_whole), WHOLE_SECONDS):
            raise TimeoutError("the nodes did not get in step again")
        node = self._chosen_node()
        node.kill()
        self._note(f"kill node {node.number}")
        self.tally.node_kills += 1
        self._in(self._plan.node_away_seconds, node.start, f"start node {node.number}")

    def _chosen_node(self) -> Node:
        cluster, settings = self._stage.cluster, self._stage.settings
        name = self._rng.choice(self._stage.members).name
        member = settings.model_copy(update={"instance": name})
        ways: Sequence[Callable[[], Node | None]] = (
            lambda: cluster.leader_of(settings.beats_topic, self._rng.randrange(self._plan.partitions)),
            lambda: cluster.coordinator_of(member.transactional_id, "__transaction_state"),
            lambda: cluster.coordinator_of(settings.group_id, "__consumer_offsets"),
        )
        found = ways[self.tally.node_kills % len(ways)]()
        return found or self._rng.choice(list(cluster.nodes.values()))

    def _calm(self) -> None:
        """Wait until stopped processes run again and the rest of the load is scored."""
        began = time.monotonic()
        self._note("calm")
        self._until(lambda: not self._later, self._plan.limit_seconds)
        self._until(self._stage.feeder.is_done, self._plan.limit_seconds)
        self._until(lambda: self._look(lambda: readback.behind(self._stage.settings) == 0), self._plan.limit_seconds)
        self.tally.drain_seconds = time.monotonic() - began
        for member in self._stage.members:
            if member.state != "away":
                member.ask_to_leave()
        for member in self._stage.members:
            self._note_leave(member)

    def _in(self, bounds: tuple[float, float], what: Callable[[], None], name: str = "") -> None:
        self._later.append((time.monotonic() + self._rng.uniform(*bounds), what, name))

    def _note(self, act: str) -> None:
        self.tally.acts.append(f"{self._limit.passed:.2f} s {act}")

    def _pause(self, bounds: tuple[float, float]) -> None:
        self._until(lambda: False, self._rng.uniform(*bounds))

    def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Go on with what is under way until `done`, at most so long; whether it was done.

        Raises TimeoutError when the whole scenario takes too long.
        """
        deadline = Deadline(seconds, "")
        while not (found := done()) and not deadline.is_over:
            self._limit.wait(TURN_SECONDS)
            self._turn()
        return found

    def _look(self, at: Callable[[], bool]) -> bool:
        """Checks that are expensive for the broker, so not in every iteration."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        return at()

    def _turn(self) -> None:
        now = time.monotonic()
        due = [later for later in self._later if later[0] <= now]
        self._later = [later for later in self._later if later[0] > now]
        for _, what, name in due:
            what()
            if name:
                self._note(name)
        for member in self._stage.members:
            if (ended := member.ended()) is not None:
                self.tally.ended.append(ended)
                self._note(f"{member.name} ended by itself and is started")
                member.start()
