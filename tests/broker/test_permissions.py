"""The watch over this user's rights: what it asks takes no time of the loop."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from monitor.broker.client import ClientError, GroupFacts, TopicFacts
from monitor.broker.permissions import RightsWatch
from monitor.settings import Settings

LIMIT_SECONDS = 10
ALL = frozenset({"READ", "WRITE"})


@dataclass
class SlowAdmin:
    """A broker that answers once it may; `rights` are those on each topic, None for an error."""

    rights: frozenset[str] | None = ALL
    may_answer: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def admin(self, *_):
        return self

    def describe(self, _):
        assert self.may_answer.wait(LIMIT_SECONDS)
        if self.rights is None:
            raise ClientError("no answer came")
        return TopicFacts("id", 1, 1, self.rights)

    def describe_group(self, _):
        return GroupFacts(frozenset(), ALL)

    def close(self):
        self.is_closed = True


@pytest.fixture
def watch():
    """Makes a watch over a broker, and closes it."""
    made = []

    def make(broker):
        made.append(RightsWatch(Settings(), broker))
        return made[0]

    yield make
    made[0].close()


def look_until(watch, is_done):
    for _ in range(1000):
        watch.look()
        if is_done():
            return
        threading.Event().wait(0.01)
    raise AssertionError


def test_a_broker_that_is_slow_to_tell_the_rights_delays_nobody(watch):
    broker = SlowAdmin(frozenset({"READ"}))
    found = watch(broker)
    for _ in range(100):
        found.look()
    assert found.obstacle == ""
    broker.may_answer.set()
    look_until(found, lambda: found.obstacle)
    assert "Write on ecg.alerts" in found.obstacle


def test_a_broker_that_tells_nothing_is_no_obstacle(watch):
    broker = SlowAdmin(None)
    found = watch(broker)
    broker.may_answer.set()
    look_until(found, lambda: broker.is_closed)
    assert found.obstacle == ""
