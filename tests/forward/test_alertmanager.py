"""Alarms as alerts of Alertmanager."""

from __future__ import annotations

import orjson
import pytest

from monitor.forward.alertmanager import Alertmanager
from monitor.forward.open_alarms import OpenAlarms
from monitor.forward.outbox import Outbox
from monitor.forward.request import TAKEN
from monitor.settings import Settings
from tests.clocks import ManualClock
from tests.forward.pieces import NOW_MS, REFUSED, ScriptedPost, Shelf, event

HOUR = 3600


def destination(clock=None, open_alarms=None, **given):
    clock = clock or ManualClock(NOW_MS / 1000)
    return Alertmanager(Settings(**given), clock.clock, open_alarms)


def alerts(request):
    return orjson.loads(request.body)


def tell(to, *events):
    """The alerts of the last event, after the earlier ones were dealt with."""
    for one in events:
        told = alerts(to.request(one))
        to.dealt_with(one)
    return told


def test_labels_say_what_it_is_and_not_who_it_is():
    (one,) = tell(destination(), event("opened", 7))
    assert one["labels"] == {
        "alertname": "EcgPhysiologicalUnusualShape",
        "alarm": "physiological:ecg.beats:0:7",
        "kind": "physiological",
        "cause": "unusual-shape",
        "severity": "medium",
    }
    assert b"bed-7" not in orjson.dumps(one)


def test_the_source_is_a_label_where_the_setting_says_so():
    (one,) = tell(destination(forward_patient_data=True), event("opened", 7))
    assert one["labels"]["source"] == "bed-7"


def test_two_beds_are_two_alerts():
    to = destination()
    assert tell(to, event("opened", 1))[0]["labels"] != tell(to, event("opened", 2))[0]["labels"]


def test_the_end_has_the_labels_of_the_beginning_although_its_cause_is_another():
    to = destination()
    (opened,) = tell(to, event("opened"))
    (closed,) = tell(to, event("closed", cause="silent", priority="high"))
    assert closed["labels"] == opened["labels"]
    assert closed["endsAt"] == "2026-11-30T10:05:00.000Z"


def test_a_risen_priority_resolves_the_alert_of_the_old_one():
    to = destination()
    old, new = tell(to, event("opened"), event("updated", priority="high"))
    assert (old["labels"]["severity"], new["labels"]["severity"]) == ("medium", "high")
    assert old["endsAt"] < new["endsAt"]
    assert alerts(to.request(event("closed", priority="high")))[0]["labels"] == new["labels"]


def test_a_run_in_frequent_ectopy_is_an_alert_of_its_own_and_stays_it():
    to, mild = destination(), {"cause": "frequent-ectopy", "priority": "low"}
    old, new = tell(to, event("opened", **mild), event("updated", priority="low"))
    assert (old["labels"]["cause"], new["labels"]["cause"]) == ("frequent-ectopy", "unusual-shape")
    assert (new["labels"]["alertname"], old["endsAt"] < new["endsAt"]) == ("EcgPhysiologicalUnusualShape", True)
    (later,) = tell(to, event("updated", **mild))
    (closed,) = tell(to, event("closed", **mild))
    assert new["labels"] == later["labels"] == closed["labels"]


def test_the_end_of_frequent_ectopy_has_its_labels():
    (one,) = tell(destination(), event("opened", cause="frequent-ectopy"), event("closed", cause="silent"))
    assert one["labels"]["cause"] == "frequent-ectopy"


def test_it_starts_when_the_alarm_opened_and_is_held_for_a_quarter_of_an_hour():
    clock = ManualClock(NOW_MS / 1000)
    (one,) = tell(destination(clock), event("opened", opened_at="2026-11-30T01:00:00.000Z"))
    assert one["startsAt"] == "2026-11-30T01:00:00.000Z"
    assert one["endsAt"] == "2026-11-30T12:08:20.000Z"  # NOW_MS is 11:53:20


@pytest.mark.parametrize("opened_at", [None, "2030-01-01T00:00:00.000Z", "x", 7])
@pytest.mark.parametrize("closed_at", [None, "2030-01-01T00:00:00.000Z", "1980-01-01T00:00:00.000Z", ""])
def test_no_clock_of_a_publisher_makes_an_end_before_the_beginning_or_after_now(opened_at, closed_at):
    (one,) = tell(destination(), event("closed", opened_at=opened_at, closed_at=closed_at))
    assert one["startsAt"] <= one["endsAt"] <= "2026-11-30T11:53:20.000Z"


def test_an_alarm_of_which_nothing_is_heard_for_long_is_not_repeated_any_more(caplog):
    clock = ManualClock(NOW_MS / 1000)
    to = destination(clock, forward_forget_hours=24)
    tell(to, event("opened"))
    clock.advance(23 * HOUR)
    assert to.repeat(()) is not None
    to.repeated()
    clock.advance(2 * HOUR)
    assert to.repeat(()) is None
    assert to.open_alarms() == 0
    assert "nothing was heard of 1 alarms for long" in caplog.text


def test_what_alertmanager_refuses_to_hear_again_is_said_and_does_not_stop_the_others(caplog):
    clock = ManualClock(NOW_MS / 1000)
    to = destination(clock)
    post, shelf = ScriptedPost(lambda request: TAKEN if request.body == b"[]" else REFUSED), Shelf()
    for number in range(600):
        to.dealt_with(event("opened", number))
    clock.advance(60)
    Outbox(to, post, shelf, clock.clock).send(clock.monotonic + 5)
    assert (post.tried, shelf.letters) == (2, [])
    assert "answers 422 to alarms that are on" in caplog.text


def test_repeats_are_of_five_hundred_alarms_at_most():
    clock = ManualClock(NOW_MS / 1000)
    to = destination(clock)
    for number in range(1200):
        to.dealt_with(event("opened", number))
    clock.advance(60)
    sizes = []
    while (request := to.repeat(())) is not None:
        sizes.append(len(alerts(request)))
        to.repeated()
    assert sizes == [500, 500, 200]


def test_more_alarms_than_can_be_kept_are_told_once(caplog):
    to = destination(open_alarms=OpenAlarms(1e12, max_open=2))
    for number in range(3):
        assert len(tell(to, event("opened", number))) == 1
    assert to.open_alarms() == 2
    assert "more than 2 alarms are on" in caplog.text
    (end,) = tell(to, event("closed", 2))
    assert end["labels"]["alarm"].endswith(":2")
