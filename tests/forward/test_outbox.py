"""What waits for a receiver, in which order it is sent, and when an event is given up."""

from __future__ import annotations

import pytest

from monitor.forward.outbox import FAILURES, MAX_PAUSE_SECONDS, Outbox
from monitor.forward.request import TAKEN, Answer, AnswerKind, kind_of
from monitor.forward.webhook import Webhook
from monitor.settings import Settings
from tests.clocks import ManualClock
from tests.forward.pieces import AWAY, FAILED, REFUSED, ScriptedPost, Shelf, event


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
        *((status, AnswerKind.REFUSED) for status in (400, 409, 413, 422)),
        *((status, AnswerKind.UNAVAILABLE) for status in (301, 307, 401, 403, 404, 405, 408, 415, 429, 502, 503, 504)),
        *((status, AnswerKind.FAILED) for status in (500, 501, 507)),
    ],
)
def test_a_status_says_whether_the_event_is_wrong_or_the_receiver(status, kind):
    assert kind_of(status) is kind
