"""The life of an alarm as a table: each state and input, and what is remembered of commands."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import lifecycle as page
from monitor.alarms.lifecycle import (
    TABLE,
    Acknowledgement,
    AlarmLife,
    LifeInput,
    after_acknowledgement,
    after_event,
    after_reminder,
)
from monitor.alarms.rule import EpisodeState, Event

GIVEN = Acknowledgement("nurse", 0, "", 5)
EPISODE = EpisodeState(opened_offset=12, opened_at=1000, flagged_beats=3, seen_beats=9, priority=1)
SEEN = AlarmLife(12, "acknowledged", 1, 12, GIVEN)
LATER = GIVEN._replace(version=6)


def event(name, priority=1, offset=12, **other):
    return Event(name, "physiological", b"bed", 0, EPISODE._replace(priority=priority, opened_offset=offset), **other)


def after(life, *inputs):
    """The life after these events, and what they tell."""
    told = []
    for one in inputs:
        life, name = after_event(life, one, latch_high=True)
        told.append(name)
    return life, told


def test_the_page_has_the_table_of_the_code():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.page(text) == text, "python -m deploy.lifecycle"
    assert text.count("| off | `acknowledge` | off | - |") == 1


@pytest.mark.parametrize(
    ("given", "state", "holds"),
    [(event("updated"), "acknowledged", GIVEN), (event("updated", 2), "on", None), (event("closed"), "off", None)],
)
def test_a_rise_takes_an_acknowledgement_back_and_the_end_ends_it(given, state, holds):
    life, _ = after(SEEN, given)
    assert (life.state, life.priority, life.acknowledged, life.last) == (state, given.episode.priority, holds, GIVEN)


def test_an_alarm_that_opens_again_has_to_be_acknowledged_again():
    opened, _ = after(SEEN, event("closed"), event("opened"))
    assert opened.acknowledged is None
    assert after_acknowledgement(opened, GIVEN, 0) == (opened, None)  # the same command, read again
    assert after_acknowledgement(opened, LATER, 7)[0].acknowledged == LATER


def test_a_second_acknowledgement_changes_nothing():
    assert after_acknowledgement(SEEN, LATER, 0) == (SEEN, None)


def test_a_high_alarm_that_nobody_has_seen_latches_and_its_acknowledgement_ends_it():
    life, told = after(AlarmLife.of(EPISODE), event("updated", 2), event("closed", 2))
    assert (life.state, life.presence, told) == ("latched", "latched", ["updated", "updated"])
    assert (life.ended.opened_offset, life.ended.is_open) == (12, True)
    assert after_acknowledgement(life, GIVEN, 0) == (life._replace(state="off", last=GIVEN), "closed")


@pytest.mark.parametrize(
    "ended",
    [
        (AlarmLife.of(EPISODE), event("closed", 1), True),
        (AlarmLife.of(EPISODE), event("closed", 2), False),
        (SEEN._replace(priority=2), event("closed", 2), True),
        (AlarmLife.of(EPISODE), event("closed", 2, void=True), True),
        (AlarmLife.of(EPISODE), replace(event("closed", 2), kind="technical"), True),
    ],
)
def test_other_alarms_are_over_with_their_episode(ended):
    life, given, latch_high = ended
    assert after_event(life, given, latch_high=latch_high)[1] == "closed"


def test_what_opens_while_an_alarm_is_latched_is_the_same_alarm():
    latched, _ = after(AlarmLife.of(EPISODE), event("closed", 2))
    other = EPISODE._replace(opened_offset=40, opened_at=9000, priority=0, flagged_beats=4)
    assert latched.concerns(other)
    shown = latched.shown(other)
    assert (shown.opened_offset, shown.opened_at, shown.priority, shown.flagged_beats) == (12, 1000, 2, 4)


def test_a_reminder_takes_an_acknowledgement_back():
    assert after_reminder(SEEN) == (SEEN._replace(state="on"), "reminded")


def test_each_event_is_told_while_on_and_what_is_off_only_opens():
    for (state, _), (then, told) in TABLE.items():
        assert state != "off" or told in {None, "opened"}
        assert (told == "closed") == (state != "off" and then == "off")


@given(st.lists(st.sampled_from(get_args(LifeInput)), max_size=30))
def test_an_acknowledgement_holds_only_between_its_event_and_the_next_rise_or_end(inputs):
    state, holds = "on", False
    for one in inputs:
        if (state, one) not in TABLE:
            continue
        state, told = TABLE[state, one]
        holds = told == "acknowledged" or (holds and one in {"updated", "acknowledge"})
        assert (state == "acknowledged") == holds
