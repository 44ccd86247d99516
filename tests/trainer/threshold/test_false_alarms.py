"""How many false alarms a share of flagged normal beats gives in an hour."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.alarms.rule import QUIET, EpisodeRule, after_beat
from trainer.threshold import false_alarms, people
from trainer.threshold.conformal import Budget


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_false_alarms_an_hour_are_those_that_a_long_run_has(rate):
    flags = np.random.default_rng(1).random(1_000_000) < rate
    opened, is_open, recent, quiet = 0, False, 0, 0
    for flag in flags.tolist():
        recent, quiet = (2 * recent + flag) % 32, 0 if flag else quiet + 1
        if is_open and quiet == 5:
            is_open = False
        elif not is_open and recent.bit_count() >= 3:
            opened, is_open = opened + 1, True
    assert false_alarms.alarms_per_hour(rate) == pytest.approx(opened / len(flags) * 4500, rel=0.1)


def test_without_flagged_beats_no_alarm_opens():
    assert false_alarms.alarms_per_hour(0.0) == 0


def test_false_alarms_are_those_that_the_monitor_would_raise():
    rate, hours = 0.1, 20
    flags = np.random.default_rng(3).random(hours * false_alarms.BEATS_PER_HOUR) < rate
    state, opened = QUIET, 0
    rule = EpisodeRule(
        flagged=false_alarms.OPEN, window=false_alarms.WINDOW, close=false_alarms.CLOSE, silence_ms=60_000
    )
    for number, flag in enumerate(flags.tolist()):
        state, event = after_beat(state, rule, cause=int(flag), offset=number, time=number)
        opened += event == "opened"
        state = QUIET if event == "closed" else state
    assert opened / hours == pytest.approx(false_alarms.alarms_per_hour(rate), rel=0.15)


def test_measured_false_alarms_are_given_for_the_flagged_share():
    assert false_alarms.alarms_per_hour(0) == 0
    assert "the 1.00% of normal test beats that were flagged are 45 wrongly flagged beats" in false_alarms.measured(
        0.01
    )


def test_of_people_only_the_measured_shares_are_said():
    text = false_alarms.of_people([0.0, 0.0, 0.75])
    assert "0 are flagged in the median person, 1,125 on average and 3,375 in the worst: measured on 3 people" in text
    assert "false alarms per patient per hour" not in text


def test_a_promise_about_people_names_no_number_of_alarms():
    spec = people.threshold(np.arange(80, dtype=np.float32), np.repeat(["a", "b"], 40), Budget(0.05, 0.5))
    text = false_alarms.sentence(spec)
    assert "5.0% are 225 wrongly flagged beats per hour" in text
    assert "false alarms per patient per hour" not in text
