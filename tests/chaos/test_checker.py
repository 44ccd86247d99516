"""The checker finds a missing, a doubled, an invented and a changed alert that is planted for it."""

from __future__ import annotations

import types
from dataclasses import replace

import pytest

from tests.chaos.checker import FACTS, compare, compare_alerts, compare_letters, doubles
from tests.chaos.readback import Letter


def alert(opened, event, offset, **other):
    facts = dict.fromkeys(FACTS, "as it was") | {"offset": offset, "score": 1.0}
    facts["presence"] = "off" if event == "closed" else "on"
    return facts | {"id": f"physiological:ecg.beats:0:{opened}", "event": event} | other


UNDISTURBED = [alert(5, "opened", 5), alert(5, "closed", 19), alert(31, "opened", 31)]


def test_the_same_alerts_in_another_order_are_no_difference():
    found = compare_alerts(UNDISTURBED, UNDISTURBED[::-1])
    assert found.holds
    assert found.counts() == {"expected": 3, "found": 3, "lost": 0, "made_up": 0, "doubled": 0, "changed": 0}


def test_a_lost_alert_is_found():
    found = compare_alerts(UNDISTURBED, UNDISTURBED[:2])
    assert found.lost == (("physiological:ecg.beats:0:31", "opened"),)
    assert not found.holds


def test_an_unexpected_alert_is_found():
    found = compare_alerts(UNDISTURBED, [*UNDISTURBED, alert(32, "opened", 32)])
    assert found.made_up == (("physiological:ecg.beats:0:32", "opened"),)
    assert not found.holds


@pytest.mark.parametrize("offset", [19, 20], ids=["at the same offset", "at another offset"])
def test_a_duplicate_alert_is_found(offset):
    found = compare_alerts(UNDISTURBED, [*UNDISTURBED, alert(5, "closed", offset)])
    assert found.doubled == (("physiological:ecg.beats:0:5", "closed"),)
    assert not found.lost
    assert not found.made_up
    assert not found.changed
    assert not found.holds


REOPENED = [*UNDISTURBED, alert(5, "opened", 40), alert(5, "updated", 42), alert(5, "closed", 50)]


def test_an_episode_that_opened_again_is_no_duplicate():
    assert doubles(REOPENED) == ()
    assert compare_alerts(REOPENED, REOPENED[::-1]).holds
    assert compare_alerts(REOPENED, REOPENED[:-1]).lost == (("physiological:ecg.beats:0:5", "closed"),)
    assert compare_alerts(REOPENED, [*REOPENED, REOPENED[-1]]).doubled == (("physiological:ecg.beats:0:5", "closed"),)
    moved = compare_alerts(REOPENED, [*REOPENED[:-1], alert(5, "closed", 51)])
    assert moved.changed == (("physiological:ecg.beats:0:5", "closed"),)


@pytest.mark.parametrize("change", [{"offset": 20}, {"cause": "silent"}, {"beats": {"abnormal": 3, "seen": 9}}])
def test_an_alert_with_other_contents_is_found(change):
    found = compare_alerts(UNDISTURBED, [UNDISTURBED[0], UNDISTURBED[1] | change, UNDISTURBED[2]])
    assert found.changed == (("physiological:ecg.beats:0:5", "closed"),)
    assert not found.holds


@pytest.mark.parametrize(("event", "holds"), [("opened", True), ("closed", False)])
def test_a_stop_may_be_noticed_at_a_later_beat_but_its_end_is_that_of_the_source(event, holds):
    stop = alert(31, event, 40, cause="no-signal")
    found = compare_alerts([*UNDISTURBED[:2], stop], [*UNDISTURBED[:2], stop | {"offset": 47, "beat_time": "later"}])
    assert found.holds == holds


def test_the_last_bits_of_a_score_are_no_difference():
    assert compare_alerts(UNDISTURBED, [*UNDISTURBED[:2], alert(31, "opened", 31, score=1.0000001)]).holds


def test_a_beat_scored_twice_and_one_not_scored_are_found():
    found = compare([(0, 1), (0, 2), (1, 1)], [(0, 1), (0, 1), (1, 1)])
    assert (found.lost, found.doubled, found.made_up) == (((0, 2),), ((0, 1),), ())


LETTER = Letter((0, 3), "not-json", b"bed", b"junk")
REFUSED = {(0, 3): types.SimpleNamespace(key=b"bed", value=b"junk")}


def test_a_dead_letter_with_every_byte_and_a_reason_is_no_difference():
    assert compare_letters(REFUSED, [LETTER]).holds


@pytest.mark.parametrize("spoilt", [{"reason": ""}, {"value": b"jun"}, {"value": None}, {"key": b"bad"}])
def test_an_incomplete_dead_letter_is_found(spoilt):
    assert compare_letters(REFUSED, [replace(LETTER, **spoilt)]).changed == ((0, 3),)


def test_a_dead_letter_of_a_good_beat_and_one_that_is_missing_are_found():
    found = compare_letters(REFUSED, [replace(LETTER, place=(0, 4))])
    assert (found.lost, found.made_up) == (((0, 3),), ((0, 4),))


def test_an_alarm_that_latches_and_opens_again_is_no_duplicate_but_one_that_latches_twice_is():
    latched = alert(31, "updated", 40, presence="latched")
    assert doubles([*UNDISTURBED, latched, alert(31, "opened", 44)]) == ()
    assert doubles([*UNDISTURBED, latched, latched | {"offset": 41}]) == (("physiological:ecg.beats:0:31", "updated"),)


def test_an_undisturbed_run_with_duplicates_cannot_be_the_reference():
    assert doubles(UNDISTURBED) == ()
    assert doubles([*UNDISTURBED, UNDISTURBED[0]]) == (("physiological:ecg.beats:0:5", "opened"),)
