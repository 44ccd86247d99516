"""The loop of the forwarder, on topics in memory: what reaches the receiver, what is committed, what a kill costs."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.broker.place import CommittedPlace
from monitor.errors import BrokerError
from monitor.forward.event import time_text
from monitor.forward.outbox import MAX_EVENTS
from monitor.forward.request import TAKEN
from monitor.records.record import Message
from monitor.telemetry.forward_recorder import IGNORED
from tests.forward.pieces import AWAY, FAILED, NOW_MS, REFUSED, TOPIC, Bench, MemorySubscription, alert

HOSTILE = (
    None,
    b"",
    b"{",
    b"[]",
    b"\xff" * 50,
    b'{"id": 3}',
    b" " * 300_000,
    alert(event="; drop"),
    alert(id="x" * 600),
)


class Firing:
    """What an Alertmanager shows: alerts by their labels, each until its end."""

    def __init__(self, bench: Bench) -> None:
        self._ends: dict[tuple[tuple[str, str], ...], str] = {}
        self._bench = bench
        bench.post.answer = self.take

    def take(self, request):
        for one in orjson.loads(request.body):
            assert one["startsAt"] <= one["endsAt"]
            self._ends[tuple(sorted(one["labels"].items()))] = one["endsAt"]
        return TAKEN

    def now(self):
        """Alarm and severity of all that fires."""
        shown = [(dict(labels), ends) for labels, ends in self._ends.items()]
        now = time_text(1000 * self._bench.clock.wall)
        return {(one["alarm"], one["severity"]) for one, ends in shown if ends > now}


EVENTS = st.tuples(
    st.sampled_from(["opened", "updated", "acknowledged", "reminded", "closed"]),
    st.integers(0, 3),
    st.sampled_from(["low", "medium", "high"]),
)
HAPPENS = st.one_of(EVENTS, st.sampled_from(["step", "kill", "away", "fails", "back", "evict", "hostile"]))


def fails_with_alarm_1(works, request):
    return FAILED if b"ecg.beats:0:1" in request.body else works(request)


def play(bench: Bench, story, works) -> list[dict[str, object]]:
    """Let a story happen, and then all that is due. The alerts on the topic."""
    put: list[dict[str, object]] = []
    for one in story:
        if isinstance(one, tuple):
            name, number, priority = one
            value = alert(name, number, priority=priority, offset=len(put))
            put.append(orjson.loads(value))
            bench.put(value, partition=number % 2)
        elif one == "hostile":
            bench.put(*HOSTILE, partition=0)
        elif one == "kill":
            bench.kill()
        elif one == "evict":
            bench.cluster.evict(bench.subscription.broker)
        elif one in {"away", "fails", "back"}:
            bench.post.answer = {"away": lambda _: AWAY, "fails": partial(fails_with_alarm_1, works)}.get(one, works)
        else:
            bench.steps(1, seconds=1)
    bench.post.answer = works
    bench.steps(30 + len(bench.cluster.messages(TOPIC)), seconds=20)
    return put


@given(st.lists(HAPPENS, max_size=40))
def test_what_fires_at_the_receiver_is_what_is_on_on_the_topic(story):
    bench = Bench(partitions=2, batch_size=2)
    firing = Firing(bench)
    on = {}
    for one in play(bench, story, firing.take):
        on.pop(one["id"], None)
        if one["event"] != "closed":
            on[one["id"]] = one["priority"]
    assert firing.now() == set(on.items())
    assert bench.destination.open_alarms() == len(on)


@given(st.lists(HAPPENS, max_size=40))
def test_a_webhook_gets_each_event_at_least_once_and_those_of_a_source_in_order(story):
    bench = Bench("webhook", partitions=2, batch_size=2, forward_patient_data=True)
    put = play(bench, story, lambda _: TAKEN)
    got, wanted = defaultdict(list), defaultdict(list)
    for one in bench.post.taken:
        if one["offset"] not in got[one["source"]]:
            got[one["source"]].append(one["offset"])
    for one in put:
        wanted[one["source"]].append(one["offset"])
    assert got == wanted


def test_a_webhook_gets_each_event_once_where_nothing_happens():
    bench = Bench("webhook")
    bench.put(alert("opened"), alert("closed"))
    bench.steps()
    assert [one["event"] for one in bench.post.taken] == ["opened", "closed"]
    assert bench.cluster.committed() == {0: 2}


def test_nothing_is_committed_before_the_receiver_took_it():
    bench = Bench("webhook")
    bench.post.answer = lambda _: AWAY
    bench.put(alert("opened"), alert("closed"))
    bench.steps(5, seconds=20)
    assert bench.cluster.committed() == {0: 0}
    bench.post.answer = lambda _: TAKEN
    bench.steps(5, seconds=20)
    assert bench.cluster.committed() == {0: 2}


def test_the_oldest_alarm_that_is_on_says_where_to_read_again():
    bench = Bench()
    bench.put(alert("opened", 1), alert("opened", 2), alert("closed", 1), alert("opened", 3))
    bench.steps()
    assert bench.cluster.group.committed[0] == CommittedPlace(4, None, 1)


def test_a_new_process_repeats_what_is_on_and_tells_no_event_again():
    bench = Bench()
    bench.put(alert("opened", 1), alert("opened", 2), alert("closed", 1))
    bench.steps()
    bench.kill()
    bench.post.taken.clear()
    bench.steps()
    assert bench.post.taken == []
    bench.steps(2, seconds=11)
    assert [[one["labels"]["alarm"][-1] for one in alerts] for alerts in bench.post.taken] == [["2"]]


def test_what_is_on_is_repeated_each_minute():
    bench = Bench()
    bench.put(alert("opened", 1), alert("opened", 2))
    bench.steps(61, seconds=10)
    assert [len(alerts) for alerts in bench.post.taken] == [1, 1, *[2] * 10]


def test_it_is_not_repeated_before_it_is_known_what_ended_meanwhile():
    bench = Bench(batch_size=1)
    bench.put(alert("opened", 1), alert("opened", 2), alert("closed", 2))
    bench.steps(5)
    bench.kill()
    bench.post.taken.clear()
    bench.steps(2, seconds=600)
    assert bench.post.taken == []


def test_records_that_are_no_alerts_are_left_out_and_counted():
    bench = Bench("webhook")
    bench.put(*HOSTILE, alert("opened"), *HOSTILE)
    bench.steps()
    assert len(bench.post.taken) == 1
    assert bench.cluster.committed() == {0: 2 * len(HOSTILE) + 1}
    ignored = {reason: bench.metric("ignored_total", reason=reason) for reason in IGNORED}
    assert ignored == {"empty": 4, "too-large": 2, "not-json": 6, "not-an-alert": 6}


def test_records_that_are_no_alerts_are_one_line_a_minute_for_each_reason(caplog):
    bench = Bench("webhook")
    bench.put(*HOSTILE * 50)
    bench.steps()
    assert caplog.text.count("is no alert") == len(IGNORED)
    bench.clock.advance(60)
    bench.put(*HOSTILE)
    bench.steps()
    assert caplog.text.count("is no alert") == 2 * len(IGNORED)


def test_it_reads_no_more_while_too_much_waits():
    bench = Bench("webhook")
    bench.post.answer = lambda _: AWAY
    bench.put(*(alert("opened", number) for number in range(3 * MAX_EVENTS)))
    bench.steps(40, seconds=1)
    assert MAX_EVENTS <= len(bench.outbox) < MAX_EVENTS + 256
    bench.post.answer = lambda _: TAKEN
    bench.steps(40, seconds=20)
    assert len(bench.post.taken) == 3 * MAX_EVENTS


def test_what_another_forwarder_reads_now_is_not_sent_any_more():
    bench = Bench("webhook", partitions=2)
    bench.post.answer = lambda _: AWAY
    bench.steps()
    for partition in (0, 1):
        bench.put(alert("opened", partition), partition=partition)
    bench.steps()
    other = MemorySubscription(bench.cluster)
    other.poll()
    bench.steps()
    taken_over = {f"physiological:ecg.beats:0:{partition}" for partition in other.poll().assigned}
    bench.post.answer = lambda _: TAKEN
    bench.steps(3, seconds=20)
    assert len(taken_over) == len(bench.post.taken) == 1
    assert bench.post.taken[0]["id"] not in taken_over


def test_an_alarm_that_another_forwarder_repeats_is_not_repeated_any_more():
    bench = Bench(partitions=2)
    for partition in (0, 1):
        bench.put(alert("opened", partition), partition=partition)
    bench.steps()
    MemorySubscription(bench.cluster).poll()
    bench.steps()
    assert bench.destination.open_alarms() == bench.metric("open_alarms") == 1


def test_a_put_out_member_sends_again_what_it_had_not_committed():
    bench = Bench("webhook")
    bench.put(alert("opened"))
    bench.steps(1)
    bench.cluster.evict(bench.subscription.broker)
    bench.steps()
    assert len(bench.post.taken) == 2
    assert bench.cluster.committed() == {0: 1}


def test_metrics_and_pages_say_how_late_alarms_are_and_why():
    bench = Bench("webhook")
    bench.post.answer = lambda _: AWAY
    bench.put(alert("opened"))
    bench.steps(2, seconds=90)
    assert bench.metric("waiting_seconds") == 90
    assert bench.health.ready(bench.health.last_step)["receiver"] == AWAY.why
    bench.post.answer = lambda _: TAKEN
    bench.steps(2, seconds=90)
    assert bench.metric("waiting_seconds") == 0
    assert bench.health.ready(bench.health.last_step) == {}


def test_a_refused_event_is_set_aside_and_does_not_stop_its_neighbours():
    bench = Bench("webhook")
    bench.post.answer = lambda request: REFUSED if b"ecg.beats:0:7" in request.body else TAKEN
    bench.put(alert("opened", 6), alert("opened", 7), alert("opened", 8))
    bench.steps()
    assert [event.id[-1] for event, _ in bench.shelf.letters] == ["7"]
    assert len(bench.post.taken) == 2
    assert bench.cluster.committed() == {0: 3}


def test_a_record_without_a_partition_of_its_own_is_where_its_key_says():
    bench = Bench("webhook", partitions=2)
    bench.cluster.publish(Message(TOPIC, b"bed-1", alert()), NOW_MS)
    bench.steps()
    assert len(bench.post.taken) == 1


@pytest.mark.parametrize(("seconds", "sent"), [(10, 1), (50, 0)])
def test_a_member_that_kafka_cannot_reach_sends_nothing_once_another_may_have_its_partitions(seconds, sent):
    bench, given_back = Bench(forward_resend_seconds=5), MemorySubscription.poll
    bench.put(alert("opened"))
    bench.steps()
    bench.post.taken.clear()
    bench.clock.advance(seconds)
    bench.subscription.poll = away
    bench.steps(1)
    assert len(bench.post.taken) == sent
    bench.subscription.poll = partial(given_back, bench.subscription)
    bench.steps(1, seconds=6)
    bench.steps(1)
    assert len(bench.post.taken) > sent


def away(**_):
    raise BrokerError("the broker is away")


@pytest.mark.parametrize("time_ms", [-1, 2**62, NOW_MS + 60_000])
def test_a_time_that_no_alert_can_have_counts_as_now(time_ms):
    bench = Bench()
    bench.post.answer = lambda _: AWAY
    bench.put(alert("opened"), time_ms=time_ms)
    bench.steps(2, seconds=30)
    assert bench.metric("waiting_seconds") == 30
    bench.post.answer = lambda _: TAKEN
    bench.steps(3, seconds=20)
    assert bench.destination.open_alarms() == 1
    bench.steps(3, seconds=100 * 3600)
    assert bench.destination.open_alarms() == 0


def test_an_alarm_that_is_long_gone_is_neither_told_nor_repeated():
    bench = Bench()
    bench.put(alert("opened", 1), time_ms=NOW_MS - 200 * 3_600_000)
    bench.put(alert("opened", 2))
    bench.steps(3)
    bench.kill()
    bench.steps(10, seconds=10)
    told = {one["labels"]["alarm"][-1] for sent in bench.post.taken for one in sent}
    assert (told, bench.destination.open_alarms()) == ({"2"}, 1)
