"""The broker in memory beyond the contract that it shares with Kafka; first, how user code tests against it."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from monitor.alarms.episodes import Episodes
from monitor.alarms.rule import EpisodeRule
from monitor.alarms.threshold import ActiveThreshold, Thresholds
from monitor.broker import MemoryBroker, MemoryCluster
from monitor.errors import BrokerError, RewoundError
from monitor.model.scorer import Explanation, Scores
from monitor.pipeline.loop import Loop
from monitor.pipeline.step import Components
from monitor.records.record import Checkpoint, Message
from monitor.settings import Settings
from monitor.telemetry.clock import SYSTEM_CLOCK
from monitor.telemetry.health import Health
from monitor.telemetry.metrics import Metrics
from monitor.telemetry.recorder import Recorder


class LargestSample:
    """A model for tests: the score of a beat is its largest sample."""

    device = "cpu"

    def score(self, samples):
        return Scores(samples.max(axis=1), np.zeros(len(samples), np.int8))

    def explain(self, samples):
        return Explanation(samples, np.zeros_like(samples))


def run_once(broker, settings):
    """Run a monitor for one step; it opens an episode at three beats above 2.0 among the last five."""
    episodes = Episodes(EpisodeRule(3, 5, 5, 60_000))
    thresholds = Thresholds(ActiveThreshold(2.0, None), np.array([0.5, 1.0, 1.5]))
    recorder = Recorder(Metrics(CollectorRegistry()), Health(SYSTEM_CLOCK.monotonic()), settings)
    parts = Components(broker, LargestSample(), thresholds, episodes, recorder)
    Loop(parts, settings, model_id="largest-sample").run(iter([False, True]).__next__)


def test_three_tall_beats_raise_an_alert():
    configured = Settings()
    cluster = MemoryCluster(configured, partitions=2)
    beat = np.linspace(-3, 3, 140, dtype="<f4").tobytes()
    for second in range(3):
        cluster.publish(Message("ecg.beats", b"bed 7", beat), timestamp_ms=1000 * second)
    with closing(MemoryBroker(cluster)) as broker:
        run_once(broker, configured)
    (message,) = cluster.messages("ecg.alerts")
    assert message.key == b"bed 7"
    alert = orjson.loads(message.value)
    assert (alert["event"], alert["source"], alert["beat_time"]) == ("opened", "bed 7", "1970-01-01T00:00:02.000Z")
    assert sum(cluster.committed().values()) == 3


def test_an_episode_goes_on_at_the_next_member_where_the_last_one_stopped():
    configured = Settings()
    cluster = MemoryCluster(configured)
    beat = np.linspace(-3, 3, 140, dtype="<f4").tobytes()
    for second in range(3):
        cluster.publish(Message("ecg.beats", b"bed 7", beat), timestamp_ms=1000 * second)
        with closing(MemoryBroker(cluster)) as broker:
            run_once(broker, configured)
    assert len(cluster.messages("ecg.alerts")) == 1
    assert cluster.state(0).keys() == {b"bed 7"}


def cluster_of(count, partitions=1, **overrides):
    """A cluster with so many beats in each partition."""
    cluster = MemoryCluster(Settings(**overrides), partitions)
    for partition in range(partitions):
        for number in range(count):
            cluster.publish(Message("ecg.beats", b"bed", b"%d" % number, partition=partition))
    return cluster


def test_lag_is_exact_at_every_moment():
    cluster = cluster_of(5, batch_size=2)
    broker = MemoryBroker(cluster)
    assert broker.lag() == {}
    broker.poll()
    assert broker.lag() == {0: 5}
    broker.deliver(Checkpoint(offsets={0: 2}))
    assert broker.lag() == {0: 5}
    broker.poll()
    assert broker.lag() == {0: 3}
    cluster.publish(Message("ecg.beats", b"bed", b"5"))
    assert broker.lag() == {0: 4}


def test_no_partition_waits_while_another_one_has_much():
    broker = MemoryBroker(cluster_of(100, partitions=3, batch_size=10))
    served = {int(partition) for _ in range(3) for partition in broker.poll().partition}
    assert served == {0, 1, 2}


def test_five_partitions_are_shared_fairly_by_those_who_are_there():
    cluster = cluster_of(0, partitions=5)
    members = [MemoryBroker(cluster) for _ in range(3)]

    def shares(members):
        for _ in range(3):
            for member in members:
                member.poll()
        assert set().union(*(member.lag() for member in members)) == set(range(5))
        return sorted(len(member.lag()) for member in members)

    assert shares(members[:1]) == [5]
    assert shares(members) == [1, 2, 2]
    members[0].close()
    assert shares(members[1:]) == [2, 3]


def test_a_key_goes_to_one_partition_and_messages_stand_in_the_order_they_came():
    cluster = MemoryCluster(Settings(), partitions=4)
    for number in range(20):
        cluster.publish(Message("ecg.alerts", b"bed %d" % (number % 5), b"%d" % number))
    messages = cluster.messages("ecg.alerts")
    assert [message.value for message in messages] == [b"%d" % number for number in range(20)]
    assert len({(message.key, message.partition) for message in messages}) == 5
    assert len({message.partition for message in messages}) > 1


@pytest.mark.parametrize("bad", [Message("nowhere", b"k", b"v"), Message("ecg.alerts", b"k", b"v", partition=1)])
def test_a_message_for_a_topic_or_a_partition_that_is_not_there_is_refused_with_all_that_goes_with_it(bad):
    cluster = cluster_of(1)
    with pytest.raises(BrokerError, match=r"no topic nowhere|no partition 1 in ecg\.alerts"):
        cluster.publish(bad)
    broker = MemoryBroker(cluster)
    broker.poll()
    with pytest.raises(BrokerError):
        broker.deliver(Checkpoint((Message("ecg.alerts", b"k", b"v"), bad), offsets={0: 1}))
    assert cluster.messages("ecg.alerts") == ()
    assert cluster.committed() == {}


def test_a_caller_that_delivers_another_checkpoint_than_the_one_it_began_has_a_bug():
    cluster = cluster_of(1)
    broker = MemoryBroker(cluster)
    broker.poll()
    first, second = (Checkpoint((Message("ecg.alerts", b"k", value),)) for value in (b"1", b"2"))
    broker.begin(first)
    for call in (broker.begin, broker.deliver):
        with pytest.raises(ValueError, match="another checkpoint was begun"):
            call(second)
    with pytest.raises(ValueError, match="another checkpoint was begun"):
        broker.deliver(Checkpoint(offsets={0: 1}))


def test_a_checkpoint_that_was_delivered_cannot_be_begun_again():
    cluster = cluster_of(1)
    broker = MemoryBroker(cluster)
    broker.poll()
    checkpoint = Checkpoint((Message("ecg.alerts", b"k", b"v"),), offsets={0: 1})
    broker.deliver(checkpoint)
    broker.begin(checkpoint)
    broker.deliver(checkpoint)
    broker.close()
    assert len(cluster.messages("ecg.alerts")) == 1


def test_failures_that_a_test_asks_for_come_as_often_and_then_no_more():
    cluster = cluster_of(1)
    broker = MemoryBroker(cluster)
    broker.fail_next(2)
    broker.poll()
    checkpoint = Checkpoint((Message("ecg.alerts", b"k", b"v"),), offsets={0: 1})
    for _ in range(2):
        with pytest.raises(BrokerError, match="fail_next"):
            broker.deliver(checkpoint)
    broker.deliver(checkpoint)
    assert len(cluster.messages("ecg.alerts")) == 1


class Echo:
    """A caller of the contract: one alert for each record, delivered with the next turn; it forgets what is void."""

    def __init__(self, cluster):
        self.broker = MemoryBroker(cluster)
        self._steps = []

    def turn(self, chance):
        """Poll, then deliver what was read before; some of it begun first, some of it failing."""
        if self._steps and chance.draw(st.booleans()):
            self.broker.begin(self._steps[0])
        elif not self._steps:
            self._read(self.broker.poll())
        getattr(self.broker, chance.draw(st.sampled_from(["fail_next", "rewind_next"])))(chance.draw(st.integers(0, 1)))
        try:
            while self._steps:
                self.broker.deliver(self._steps[0])
                del self._steps[0]
        except RewoundError:
            self._steps.clear()
        except BrokerError:
            pass  # the same once more, at the next turn

    def _read(self, records):
        rows = zip(records.partition.tolist(), records.offset.tolist(), records.value, strict=True)
        for partition, offset, value in rows:
            message = Message("ecg.alerts", b"%d" % partition, value)
            self._steps.append(Checkpoint((message,), offsets={partition: offset + 1}))


def rest_of(cluster):
    """What a last member still reads, as the alerts that it would send."""
    last, rest = MemoryBroker(cluster), []
    while True:
        records = last.poll()
        if not len(records):
            return rest
        rest += [(b"%d" % partition, value) for partition, value in zip(records.partition, records.value, strict=True)]


EVENTS = st.sampled_from(["turn", "turn", "turn", "turn", "join", "close", "evict"])


@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
@settings(max_examples=50)
@given(data=st.data())
def test_whoever_comes_goes_and_fails_each_record_is_answered(delivery, data):
    cluster = cluster_of(4, partitions=3, batch_size=3, delivery=delivery)
    members = [Echo(cluster)]
    for event in data.draw(st.lists(EVENTS, max_size=20)):
        member = data.draw(st.sampled_from(members))
        if event == "turn":
            member.turn(data)
        elif event == "join":
            members.append(Echo(cluster))
        elif event == "evict":
            cluster.evict(member.broker)
        elif len(members) > 1:
            members.remove(member)
            member.broker.close()
    for member in members:
        member.broker.close()
    answered = [(message.key, message.value) for message in cluster.messages("ecg.alerts")] + rest_of(cluster)
    everything = [(b"%d" % partition, b"%d" % number) for partition in range(3) for number in range(4)]
    assert sorted(set(answered)) == everything
    if delivery == "exactly-once":
        assert sorted(answered) == everything


@pytest.mark.parametrize("partitions", [0, -1])
def test_a_cluster_has_at_least_one_partition(partitions):
    with pytest.raises(ValueError, match="at least one partition"):
        MemoryCluster(Settings(), partitions)
