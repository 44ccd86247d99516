"""A publisher that does harm: the alerts of other sources come all the same, once each and in time.

Good sources send live beats. Somebody else writes to the same partitions what has cost a monitor its memory or its
loop before. Afterwards a second group reads the same good beats from a topic of their own: its alerts are the right
ones.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from confluent_kafka import Producer

from monitor.beats.stream import source_name
from monitor.broker import Publisher, TopicPlan, create_topics
from monitor.records.record import Message
from tests.chaos import load, readback
from tests.chaos.checker import compare
from tests.chaos.cluster import Cluster
from tests.chaos.deadline import Deadline
from tests.chaos.members import GroupConfig, Member
from tests.chaos.report import Report
from tests.conftest import settings_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.settings import Settings
    from tests.chaos.scenarios import Scenario
    from tests.chaos.testbed import Inputs

TURN_SECONDS = 0.8  # a beat of each source
SETTLE_SECONDS = 120.0
MEMORY_LIMIT_MIB, LATENCY_LIMIT_SECONDS = 1024, 5.0
BETWEEN_ATTACKS_SECONDS = 1.0
MANY_FIELDS = b"{%b}" % b",".join(b'"%d":1' % min(number, 7998) for number in range(8000))
Attack = tuple[bytes | None, bytes | None, list[tuple[str, bytes]] | None]  # key, value and headers

ATTACKS: dict[str, list[Attack]] = {  # each is one batch
    "long keys": [(b"k" * 600_000, load.FLAT_BEAT, None)] * 3,
    "a very long key": [(b"k" * 3_000_000, b"{", None)],
    "many headers": [(b"other", b"{", [("", b"")] * 5000)],
    "a flood of junk": [(b"other", b"z" * 60_000, None)] * 1000,
    "a flood of small junk": [(b"other", b"{", None)] * 20_000,
    "objects of many fields": [(b"other", MANY_FIELDS[:60_000] + b"}", None)] * 300,
    "a record that inflates": [(b"other", bytes(400 << 20), None)],
    "a batch that inflates": [(b"other", bytes(1 << 20), None)] * 100,
    "a large value": [(b"other", bytes(9_000_000), None)],
    "wrong bytes": [(b"other", np.full(140, 100.0, ">f4").tobytes(), None)] * 100,
    "old clocks": [(b"other", load.FLAT_BEAT[:559], None)] * 10,
}


def run_hostile(plan: Scenario, seed: int, inputs: Inputs, seconds: float) -> Report:
    with ExitStack() as opened:
        cluster = opened.enter_context(Cluster(inputs.home, inputs.folder / "kafka", 1))
        attacked, calm = (settings_on(cluster.address, session_timeout_ms=6000) for _ in range(2))
        members = []
        for name, settings in (("attacked", attacked), ("calm", calm)):
            list(create_topics(settings, TopicPlan(plan.partitions, -1, 168)))
            member = Member(name, GroupConfig(settings, inputs.model, inputs.folder, {}))
            opened.callback(member.close)
            members.append(member)
        first, second = members
        _start(first)
        done = threading.Event()
        attacker = threading.Thread(target=_attack, args=(attacked, plan.partitions, done), name="attacker")
        opened.callback(done.set)
        attacker.start()
        _feed((attacked, calm), load.stock(inputs.data, inputs.model), plan, seed, seconds)
        done.set()
        attacker.join()
        return _report(seed, (attacked, calm), (first, second))


def _start(member: Member) -> None:
    member.start()
    deadline = Deadline(SETTLE_SECONDS, "the monitor ready")
    while not member.is_ready():
        deadline.wait(0.2)


def _feed(settings: tuple[Settings, Settings], stock: load.BeatPool, plan: Scenario, seed: int, seconds: float) -> None:
    """Publish the good beats, live, to both topics: the same at the same partitions and times."""
    rng, turns = random.Random(seed), load.turns(random.Random(seed), plan.sources)
    end, pause = Deadline(seconds, ""), threading.Event()
    with closing(Publisher(settings[0])) as publisher:
        for turn in turns:
            began = time.monotonic()
            for source, code in turn:
                if code != load.SILENT:
                    value, at, partition = (
                        rng.choice(stock.values[code]),
                        int(1000 * time.time()),
                        source % plan.partitions,
                    )
                    for one in settings:
                        message = Message(one.beats_topic, source_name(source), value, partition=partition)
                        publisher.send(message, at)
            publisher.flush()
            if end.is_over:
                return
            pause.wait(max(0.0, began + TURN_SECONDS - time.monotonic()))


def _attack(settings: Settings, partitions: int, done: threading.Event) -> None:
    """One attack after the other on one partition after the other, and an open transaction on the state topic."""
    options: dict[str, Any] = {"bootstrap.servers": settings.bootstrap_servers}
    holder = Producer(options | {"transactional.id": f"{settings.group_id}-holder", "transaction.timeout.ms": 600_000})
    holder.init_transactions(60)
    holder.begin_transaction()
    holder.produce(settings.state_topic_name, b"{}", b"bed", partition=0)
    holder.flush(60)
    large = {"message.max.bytes": 10**9, "batch.size": 2 * 10**9, "queue.buffering.max.kbytes": 2 * 10**6}
    producer = Producer(options | large | {"compression.type": "zstd", "linger.ms": 60_000})
    for number, records in enumerate(itertools.cycle(ATTACKS.values())):
        for key, value, headers in records:
            producer.produce(settings.beats_topic, value, key, partition=number % partitions, headers=headers)
        producer.flush(60)
        if done.wait(BETWEEN_ATTACKS_SECONDS):
            return


def _report(seed: int, settings: tuple[Settings, Settings], members: tuple[Member, Member]) -> Report:
    attacked, calm = settings
    _wait_until_judged(attacked)
    memory = _most_memory_mib(members[0].pid)
    faults = [f"exit code {code}" for code in (members[0].leave(),) if code]
    _start(members[1])
    _wait_until_judged(calm)
    faults += [f"the undisturbed one left with {code}" for code in (members[1].leave(),) if code]
    told, right = (list(_told(one)) for one in settings)
    late = np.array([seconds for _, seconds in told] or [np.inf])
    p99 = float(np.percentile(late, 99))
    faults += [f"{memory} MiB, where {MEMORY_LIMIT_MIB} are allowed"] if memory > MEMORY_LIMIT_MIB else []
    faults += [f"alerts after {p99:.1f} s"] if p99 > LATENCY_LIMIT_SECONDS else []
    letters = readback.letters(attacked)
    figures = {"alerts": len(told), "p50 seconds": float(np.median(late)), "p99 seconds": p99, "most MiB": memory}
    figures |= {"dead letters": len(letters), "reasons": len({one.reason for one in letters})}
    difference = compare((alert for alert, _ in right), (alert for alert, _ in told))
    return Report("hostile", seed, figures, {"alerts": difference}, tuple(faults))


def _wait_until_judged(settings: Settings) -> None:
    deadline = Deadline(SETTLE_SECONDS, "the last beat judged")
    while readback.behind(settings) != 0:
        deadline.wait(0.5)


def _most_memory_mib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


def _told(settings: Settings) -> Iterator[tuple[tuple[str, ...], float]]:
    """What each alert says of a good source, apart from offsets; and how long after its beat it was written."""
    for record in readback.read(settings, settings.alerts_topic):
        alert = orjson.loads(record.value)
        if alert["source"] != "other":
            facts = tuple(str(alert[name]) for name in ("source", "kind", "event", "cause", "opened_at", "beat_time"))
            at = np.datetime64(alert["beat_time"].rstrip("Z"), "ms").astype(int)
            yield facts, (record.timestamp - int(at)) / 1000
