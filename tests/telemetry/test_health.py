"""What `/healthz` and `/readyz` say, and why."""

from __future__ import annotations

import pytest

from monitor.telemetry.health import HUNG_SECONDS, STUCK_SECONDS, Health


def healthy(**changes) -> Health:
    health = Health(started=True, joined=True, last_step=0.0)
    for name, value in changes.items():
        setattr(health, name, value)
    return health


def test_a_healthy_monitor_is_alive_and_ready():
    assert healthy().live(1.0) == healthy().ready(1.0) == {}


def test_a_loop_that_hangs_is_not_alive():
    assert "loop" in healthy().live(HUNG_SECONDS + 1)


def test_a_single_stuck_partition_makes_the_monitor_unhealthy():
    health = healthy()
    for now in (0.0, STUCK_SECONDS + 1):
        health.record_progress({0: 5, 1: 5, 2: 0}, progressed={0}, now=now)
        health.last_step = now
    assert list(health.live(STUCK_SECONDS + 1)) == ["partition 1"]


def test_a_revoked_partition_is_no_longer_checked():
    health = healthy()
    health.record_progress({0: 5}, progressed=set(), now=0.0)
    health.record_progress({}, progressed=set(), now=1.0)
    assert health.live(STUCK_SECONDS + 2) == {}


def test_a_broker_outage_leaves_the_monitor_alive_but_not_ready():
    health = healthy(broker_failure="away")
    for now in range(0, 600, 50):
        health.record_progress({0: 5}, progressed=set(), now=now)
        health.last_step = now
    assert health.live(599) == {}
    assert health.ready(599) == {"broker": "away"}


@pytest.mark.parametrize(("changes", "part"), [({"started": False}, "start"), ({"joined": False}, "group")])
def test_a_monitor_that_is_not_ready_reports_which_part_is_not(changes, part):
    assert list(healthy(**changes).ready(1.0)) == [part]
