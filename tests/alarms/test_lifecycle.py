"""The life of an alarm as a table: each state and input, and what is remembered of commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import lifecycle as page
from monitor.alarms.lifecycle import TABLE, Acknowledgement, AlarmLife, after_acknowledgement, after_event

GIVEN = Acknowledgement("nurse", 0, "", 5)
SEEN = AlarmLife(12, "acknowledged", 1, GIVEN)
LATER = GIVEN._replace(version=6)


def test_the_page_has_the_table_of_the_code():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.page(text) == text, "python -m deploy.lifecycle"
    assert text.count("| off | `acknowledge` | off | - |") == 1


@pytest.mark.parametrize(
    ("event", "priority", "state", "holds"),
    [
        ("updated", 1, "acknowledged", GIVEN),
        ("updated", 2, "on", None),
        ("closed", 1, "off", None),
    ],
)
def test_a_rise_takes_an_acknowledgement_back_and_the_end_ends_it(event, priority, state, holds):
    after = after_event(SEEN, event, priority)
    assert (after.state, after.priority, after.acknowledged, after.last) == (state, priority, holds, GIVEN)


def test_an_alarm_that_opens_again_has_to_be_acknowledged_again():
    opened = after_event(after_event(SEEN, "closed", 1), "opened", 1)
    assert opened.acknowledged is None
    assert after_acknowledgement(opened, 12, 1, GIVEN, is_open=True) is None  # the same command, read again
    assert after_acknowledgement(opened, 12, 1, LATER, is_open=True).acknowledged == LATER


def test_what_is_off_or_acknowledged_already_is_left_as_it_is():
    assert after_acknowledgement(None, 12, 1, GIVEN, is_open=False) is None
    assert after_acknowledgement(SEEN, 12, 1, LATER, is_open=True) is None


def test_what_is_remembered_of_another_alarm_does_not_count():
    assert after_acknowledgement(SEEN, 30, 0, GIVEN, is_open=True) == AlarmLife(30, "acknowledged", 0, GIVEN)


def test_each_event_is_told_while_on_and_what_is_off_only_opens():
    for (state, given_input), (after, event) in TABLE.items():
        assert state != "off" or event in {None, "opened"}
        assert (event == "closed") == (state != "off" and after == "off") == (given_input == "closed")


@given(st.lists(st.sampled_from(["updated", "raised", "acknowledge", "closed", "opened"]), max_size=30))
def test_an_acknowledgement_holds_only_between_its_event_and_the_next_rise_or_end(inputs):
    state, holds = "on", False
    for one in inputs:
        if (state, one) not in TABLE:
            continue
        state, event = TABLE[state, one]
        holds = event == "acknowledged" or (holds and one in {"updated", "acknowledge"})
        assert (state == "acknowledged") == holds
