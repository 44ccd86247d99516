"""The scenarios: how much load, how many monitors and nodes, and how often each disturbance happens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. Pairs are the bounds of random times, in seconds."""

    beats: int = 60_000
    sources: int = 60
    bad: int = 300  # records that are not beats
    partitions: int = 4
    nodes: int = 1
    members: int = 1
    kills: int = 0  # SIGKILL of a member
    freezes: int = 0  # SIGSTOP, later SIGCONT
    leaves: int = 0  # SIGTERM
    node_kills: int = 0  # SIGKILL of a node, later the same node again
    pause_seconds: tuple[float, float] = (0.0, 1.5)  # before an act, from when its member is ready
    away_seconds: tuple[float, float] = (0.0, 0.0)  # of a member that was killed or left
    freeze_seconds: tuple[float, float] = (8.0, 16.0)
    node_away_seconds: tuple[float, float] = (1.0, 15.0)
    outage_seconds: float = 0.0
    session_timeout_ms: int = 6000
    batch_size: int = 8  # small, so that there is always work in hand
    scores: bool = False
    limit_seconds: float = 3600.0


# Scenarios that kill a node have three. Kafka 4.3.1 with one node may restart from a kill with a transaction that is
# committed for its coordinator, but has no marker in any partition: readers never get past it.
SCENARIOS = {
    "short": Scenario(
        beats=6000,
        sources=20,
        bad=60,
        nodes=3,
        members=2,
        kills=5,
        freezes=1,
        leaves=2,
        node_kills=1,
        freeze_seconds=(4.0, 5.0),
        node_away_seconds=(0.5, 2.0),
        pause_seconds=(0.0, 0.6),
        session_timeout_ms=3000,
        batch_size=16,
        limit_seconds=300.0,
    ),
    "kills": Scenario(kills=100, session_timeout_ms=3000),
    "rebalances": Scenario(members=4, partitions=6, kills=40, leaves=60, away_seconds=(0.0, 6.0)),
    "freezes": Scenario(members=3, freezes=20, kills=5, pause_seconds=(0.0, 4.0)),
    "leaders": Scenario(members=2, nodes=3, node_kills=10, pause_seconds=(0.0, 3.0)),
    "malformed": Scenario(beats=100_000, bad=10_000, kills=0, batch_size=256, scores=True),
    "all": Scenario(
        members=4,
        partitions=6,
        nodes=3,
        kills=25,
        freezes=8,
        leaves=15,
        node_kills=8,
        away_seconds=(0.0, 4.0),
        scores=True,
    ),
}
HOSTILE = Scenario(sources=40)
OUTAGE = Scenario(beats=6000, bad=60, outage_seconds=600.0, batch_size=64)
SOAK = Scenario(beats=30_000_000, sources=1000, bad=30_000, batch_size=2048, scores=True)  # more than it can read
