"""What waits for a receiver, in which order it is sent, and when an event is given up."""

from __future__ import annotations

import pytest

from monitor.forward.outbox import FAILURES, MAX_PAUSE_SECONDS, REFUSALS_IN_A_ROW, Outbox
from monitor.forward.request import TAKEN, Answer, AnswerKind, kind_of
from monitor.forward.webhook import Webhook
from monitor.settings import Settings
from tests.clocks import ManualClock
from tests.forward.pieces import AWAY, DOUBTFUL, FAILED, REFUSED, Bench, ScriptedPost, Shelf, alert, event


class Table:
    """An outbox for a webhook, with its clock, its receiver and its dead letters."""

    def __init__(self, answer=lambda _: TAKEN) -> None:
        self.clock, self.post, self.shelf = ManualClock(), ScriptedPost(answer), Shelf()
        self.outbox = Outbox(Webhook(Settings()), self.post, self.shelf, self.clock.clock)

    def send(self, times: int = 1, seconds: float = MAX_PAUSE_SECONDS) -> None:
        for _ in range(times):
            self.outbox.send(self.clock.monotonic + 5)
            self.clock.advance(seconds)

    def taken(self) -> list[str]:
        return [one["id"][-1] + one["event"] for one in self.post.taken]


def poison(request):
    return FAILED if b'ecg.beats:0:1","event":"opened"' in request.body else TAKEN


def test_events_of_others_go_past_one_that_fails_and_those_of_its_source_wait():
    table = Table(poison)
    for number, name in ((1, "opened"), (2, "opened"), (1, "closed"), (2, "closed")):
        table.outbox.add(event(name, number))
    table.send()
    assert table.taken() == ["2opened", "2closed"]
    table.post.answer = lambda _: TAKEN
    table.send()
    assert table.taken()[2:] == ["1opened", "1closed"]


def test_an_event_is_given_up_that_fails_again_and_again_while_others_are_taken():
    table = Table(poison)
    for number in (1, 2):
        table.outbox.add(event("opened", number))
    table.send(FAILURES - 1)
    assert table.shelf.letters == []
    table.send()
    assert [letter.id[-1] for letter, _ in table.shelf.letters] == ["1"]
    assert len(table.outbox) == 0


def test_no_event_is_given_up_while_the_receiver_takes_none():
    table = Table(lambda _: FAILED)
    table.outbox.add(event("opened", 1))
    table.send(10 * FAILURES)
    assert (len(table.outbox), table.shelf.letters) == (1, [])


def test_a_receiver_that_fails_with_many_events_is_not_asked_about_each():
    table = Table(lambda _: FAILED)
    for number in range(100):
        table.outbox.add(event("opened", number))
    table.send(1)
    assert table.post.tried < 10
    assert table.outbox.trouble == FAILED.why


def test_pauses_grow_up_to_a_bound_while_the_receiver_is_away():
    table = Table(lambda _: AWAY)
    table.outbox.add(event())
    table.send(100, seconds=1)
    assert 7 < table.post.tried < 15


def test_the_receiver_may_ask_for_a_longer_pause():
    table = Table(lambda _: Answer(AnswerKind.UNAVAILABLE, "busy", 100))
    table.outbox.add(event())
    table.send(10, seconds=10)
    assert table.post.tried == 1
    table.send(2, seconds=10)
    assert table.post.tried == 2


def test_a_turn_ends_in_time():
    table = Table()
    for number in range(10):
        table.outbox.add(event("opened", number))

    def slow(_):
        table.clock.advance(2)
        return TAKEN

    table.post.answer = slow
    table.send()
    assert len(table.post.taken) == 3


def test_a_dead_letter_that_cannot_be_written_waits_and_holds_up_no_other_source():
    table = Table(lambda request: REFUSED if b"ecg.beats:0:1" in request.body else TAKEN)
    table.shelf.fault = OSError(28, "No space left on device")
    for number, name in ((1, "opened"), (1, "closed"), (2, "opened")):
        table.outbox.add(event(name, number))
    table.send()
    assert (table.taken(), len(table.outbox)) == (["2opened"], 2)
    table.shelf.fault = None
    table.send(2)
    assert [letter.name for letter, _ in table.shelf.letters] == ["opened", "closed"]


@pytest.mark.parametrize("kind", ["alertmanager", "webhook"])
@pytest.mark.parametrize("answer", [FAILED, DOUBTFUL])
@pytest.mark.parametrize("more", [0, 1500])
def test_one_event_that_fails_holds_up_the_alarms_of_no_other_bed(kind, answer, more):
    bench = Bench(kind)
    bench.post.answer = lambda request: answer if b"poison" in request.body else TAKEN
    bench.put(alert("opened", 1, cause="poison"), *[alert("updated", 1, cause="poison", offset=n) for n in range(more)])
    bench.put(*[alert("opened", number) for number in range(2, 12)])
    bench.steps(60, seconds=1)
    assert more or bench.metric("events_total") == 10
    bench.steps(600, seconds=1)
    assert bench.metric("events_total") == 10
    assert bench.shelf.letters[0][0].id.endswith(":1")


def test_repeats_show_that_the_receiver_works_where_one_event_fails():
    bench = Bench()
    bench.put(alert("opened", 2))
    bench.steps()
    bench.post.answer = lambda request: FAILED if b"poison" in request.body else TAKEN
    bench.put(alert("opened", 1, cause="poison"), alert("opened", 1, id="other"))
    bench.steps(300, seconds=1)
    assert len(bench.shelf.letters) == 1
    assert bench.metric("events_total") == 2


@pytest.mark.parametrize("answer", [FAILED, DOUBTFUL])
def test_a_repeat_that_fails_holds_up_no_event_and_is_halved(answer):
    bench = Bench()
    bench.put(*(alert("opened", number) for number in range(6)))
    bench.steps()
    bench.clock.advance(61)
    bench.post.answer = lambda request: answer if request.body.count(b"alertname") > 2 else TAKEN
    bench.put(alert("opened", 50))
    bench.steps(1)
    assert bench.metric("events_total") == 7
    bench.steps(10, seconds=1)
    assert bench.metric("repeats_total") >= 3
    assert bench.outbox.trouble == ""


def test_one_alarm_that_cannot_be_repeated_holds_up_no_other():
    bench = Bench()
    bench.put(*(alert("opened", number) for number in range(6)))
    bench.steps()
    bench.post.answer = lambda request: FAILED if b"ecg.beats:0:0" in request.body else TAKEN
    bench.post.taken.clear()
    bench.steps(120, seconds=1)
    assert {one["labels"]["alarm"][-1] for sent in bench.post.taken for one in sent} == set("12345")


def test_an_event_is_not_given_up_for_an_outage_although_others_are_taken_after_it():
    bench = Bench("webhook")
    bench.put(*(alert("opened", number) for number in range(20)))
    for _ in range(3):
        bench.post.answer = lambda _: DOUBTFUL
        bench.steps(600, seconds=1)
        bench.post.answer = lambda _: TAKEN
        bench.steps(1)
        bench.put(alert("opened", 30))
    bench.steps(60, seconds=1)
    assert bench.shelf.letters == []


@pytest.mark.parametrize("answer", [AWAY, DOUBTFUL, FAILED])
def test_a_flood_of_one_bed_costs_no_event_while_the_receiver_is_away(answer):
    table = Table(lambda _: answer)
    for number in range(600):
        table.outbox.add(event("updated", 1, offset=number))
    table.outbox.add(event("opened", 2))
    table.send(200)
    assert (len(table.outbox), table.shelf.letters) == (601, [])


def test_a_receiver_that_refuses_everything_is_not_ready_and_gets_few():
    bench = Bench("webhook")
    bench.post.answer = lambda _: REFUSED
    bench.put(*(alert("opened", number) for number in range(100)))
    bench.steps(1)
    assert len(bench.shelf.letters) == REFUSALS_IN_A_ROW
    assert bench.health.ready(bench.health.last_step)["receiver"] == REFUSED.why
    bench.steps(60, seconds=1)
    assert len(bench.shelf.letters) < 20
    bench.post.answer = lambda _: TAKEN
    bench.steps(20, seconds=1)
    assert bench.outbox.trouble == ""


@pytest.mark.parametrize("kind", ["alertmanager", "webhook"])
@pytest.mark.parametrize("answer", [AWAY, DOUBTFUL, FAILED, REFUSED])
def test_a_receiver_is_asked_at_the_start_and_while_nothing_happens(kind, answer):
    bench = Bench(kind)
    assert "receiver" in bench.health.ready(bench.health.last_step)
    bench.post.answer = lambda _: answer
    bench.steps(1)
    assert bench.health.ready(bench.health.last_step)["receiver"] == answer.why
    bench.post.answer = lambda _: TAKEN
    bench.steps(3, seconds=10)
    assert bench.health.ready(bench.health.last_step) == {}
    asked = bench.post.probed
    bench.steps(300, seconds=1)
    assert bench.post.probed - asked == 5


def test_a_member_that_loses_its_partitions_while_the_receiver_is_away_is_ready_again():
    bench = Bench("webhook")
    bench.put(alert("opened"))
    bench.post.answer = lambda _: AWAY
    bench.steps(2)
    bench.outbox.drop(0)
    bench.post.answer = lambda _: TAKEN
    bench.steps(3, seconds=10)
    assert bench.outbox.trouble == ""


def test_what_it_holds_is_bounded_in_bytes():
    table = Table()
    for number in range(300):
        if table.outbox.has_room():
            table.outbox.add(event("opened", number, note="x" * 200_000))
    assert 80 < len(table.outbox) < 90


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, AnswerKind.TAKEN) for status in (200, 202, 204)),
        *((status, AnswerKind.REFUSED) for status in (400, 409, 413, 422, 431)),
        *((status, AnswerKind.DOUBTFUL) for status in (301, 307, 401, 403, 404, 405, 415, 502, 503, 504)),
        *((status, AnswerKind.UNAVAILABLE) for status in (408, 425, 429)),
        *((status, AnswerKind.FAILED) for status in (500, 501, 507)),
    ],
)
def test_a_status_says_whether_the_event_is_wrong_or_the_receiver(status, kind):
    assert kind_of(status) is kind
