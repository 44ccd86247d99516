"""A publisher that does harm: the alerts of other sources come all the same, once each and in time.

Good sources send live beats. Somebody else writes to the same partitions what has cost a monitor its memory or its
loop before. Afterwards a second group reads the same good beats from a topic of their own: its alerts are the right
ones.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.beats.stream import source_name
from monitor.broker import Publisher, TopicPlan, create_topics
from monitor.records.record import Message
from tests.chaos import load, readback
from tests.chaos.alert_watch import AlertWatch
from tests.chaos.attacks import ATTACKS, OTHER, accept_any_time, attacked, spoil_profiles
from tests.chaos.checker import compare
from tests.chaos.cluster import Cluster
from tests.chaos.deadline import Deadline
from tests.chaos.members import GroupConfig, Member
from tests.chaos.report import Report
from tests.conftest import settings_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitor.settings import Settings
    from tests.chaos.scenarios import Scenario
    from tests.chaos.testbed import Inputs

TURN_SECONDS = 0.8  # a beat of each source
# A source then sends normal beats. The fast clock among the attacks adds 48 s to a pause, and 60 s close an alarm as
# silent: a longer pause would end the two groups' alarms differently, see decisions.
SILENT_TURNS = 12
SETTLE_SECONDS = 120.0
MEMORY_LIMIT_MIB, LATENCY_LIMIT_SECONDS = 1024, 5.0


def run_hostile(plan: Scenario, seed: int, inputs: Inputs, seconds: float) -> Report:
    """Attack one group while good sources send beats, give another group the good beats alone, and compare."""
    with ExitStack() as opened:
        cluster = opened.enter_context(Cluster(inputs.home, inputs.folder / "hostile-kafka", 1))
        options = {"session_timeout_ms": plan.session_timeout_ms}
        target, calm = (settings_on(cluster.address, **options) for _ in range(2))
        members = []
        for name, settings in (("attacked", target), ("calm", calm)):
            list(create_topics(settings, TopicPlan(plan.partitions, -1, 168)))
            # a fast clock may stretch a pause to a silence, so what comes of those is not the same in both groups
            variables = {"MONITOR_NO_SIGNAL_SECONDS": "0"}
            member = Member(name, GroupConfig(settings, inputs.model, inputs.folder, variables))
            opened.callback(member.close)
            members.append(member)
        accept_any_time(target)
        spoil_profiles(target, plan.partitions)
        _start(members[0])
        with AlertWatch(target, OTHER.decode()) as watch:
            with attacked(target, plan.partitions) as made:
                _feed((target, calm), load.stock(inputs.data, inputs.model), plan, seed, seconds)
            _wait_until_judged(target)
        figures = {"attacks": len(made), "most MiB": _most_memory_mib(members[0].pid)}
        codes = [members[0].leave()]
        _start(members[1])
        _wait_until_judged(calm)
        codes.append(members[1].leave())
        faults = [f"exit codes {codes}"] if any(codes) else []
        faults += [f"{name} was not tried" for name in ATTACKS.keys() - {name for _, name in made}]
        late = [(beat, f"an alert after {seconds:.1f} s") for beat, seconds in watch.found]
        acts = [f"{at - made[0][0]:5.1f} s {what}" for at, what in sorted([*made, *late])]
        figures |= _late(np.array([seconds for _, seconds in watch.found] or [np.inf]))
        return _report(seed, (target, calm), figures, faults, acts)


def _start(member: Member) -> None:
    member.start()
    deadline = Deadline(SETTLE_SECONDS, "the monitor ready")
    while not member.is_ready():
        deadline.wait(0.2)


def _feed(settings: tuple[Settings, Settings], stock: load.BeatPool, plan: Scenario, seed: int, seconds: float) -> None:
    """Publish the good beats, live, to both topics: the same at the same partitions and times."""
    rng, turns = random.Random(seed), load.turns(random.Random(seed), plan.sources)
    end, pause, silent = Deadline(seconds, ""), threading.Event(), Counter[int]()
    with closing(Publisher(settings[0])) as publisher:
        for turn in turns:
            began = time.monotonic()
            for source, code in turn:
                silent[source] = silent[source] + 1 if code == load.SILENT else 0
                if not 0 < silent[source] <= SILENT_TURNS:
                    kind = load.NORMAL if code == load.SILENT else code
                    value, at = rng.choice(stock.beats(source, kind)), int(1000 * time.time())
                    for one in settings:
                        place = source % plan.partitions
                        publisher.send(Message(one.beats_topic, source_name(source), value, partition=place), at)
            publisher.flush()
            if end.is_over:
                return
            pause.wait(max(0.0, began + TURN_SECONDS - time.monotonic()))


def _report(
    seed: int, settings: tuple[Settings, Settings], figures: dict[str, Any], faults: list[str], acts: list[str]
) -> Report:
    told, right = (list(_told(one)) for one in settings)
    p99, memory = figures["p99 seconds"], figures["most MiB"]
    faults += [f"{memory} MiB, where {MEMORY_LIMIT_MIB} are allowed"] if memory > MEMORY_LIMIT_MIB else []
    faults += [f"alerts after {p99:.1f} s"] if p99 > LATENCY_LIMIT_SECONDS else []
    letters = readback.letters(settings[0])
    figures |= {"alerts": len(told), "dead letters": len(letters), "reasons": len({one.reason for one in letters})}
    return Report("hostile", seed, figures, {"alerts": compare(right, told)}, tuple(faults), tuple(acts))


def _late(seconds: NDArray[np.float64]) -> dict[str, Any]:
    p50, p99, most = np.percentile(seconds, (50, 99, 100)).tolist()
    return {"p50 seconds": p50, "p99 seconds": p99, "most seconds": most}


def _wait_until_judged(settings: Settings) -> None:
    deadline = Deadline(SETTLE_SECONDS, "the last beat judged")
    while readback.behind(settings) != 0:
        deadline.wait(0.5)


def _most_memory_mib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


def _told(settings: Settings) -> Iterator[tuple[str, ...]]:
    """What each alert says of a good source, apart from offsets."""
    for alert in readback.read_alerts(settings):
        if alert["source"] != OTHER.decode():
            yield tuple(str(alert[name]) for name in ("source", "kind", "event", "cause", "opened_at", "beat_time"))
