"""Alerts as people read them."""

from __future__ import annotations

import orjson
import pytest

from monitor.commands.alerts import readable

ALERT = {
    "id": "physiological:ecg.beats:0:3",
    "event": "opened",
    "source": "bed 7",
    "kind": "physiological",
    "priority": "medium",
    "cause": "unusual-shape",
    "beat_time": "2026-11-24T10:00:00.000Z",
    "beats": {"abnormal": 3, "seen": 5},
    "score": 0.91,
    "p_value": 0.0034,
    "threshold": 0.245,
    "samples": [0.0] * 70 + [4.0] * 70,
    "reconstruction": [0.0] * 140,
}
ENDLESS = orjson.dumps(ALERT | {"samples": [1e308] * 140, "reconstruction": None})  # their sum is infinite
UNKNOWN = orjson.dumps(ALERT | {"typical": [None] * 140, "personal_score": "high"})


def test_an_alert_is_a_line_of_facts_and_two_curves_on_one_scale():
    facts, beat, model = readable(orjson.dumps(ALERT)).splitlines()
    for word in ("OPENED", "medium", "bed 7", "unusual-shape", "3 of 5", "0.91", "0.245", "0.0034"):
        assert word in facts
    assert beat.removeprefix("    beat    ") == " " * 35 + "█" * 35
    assert model.removeprefix("    model   ") == " " * 70


def test_the_score_that_decided_stands_first_and_the_typical_beat_below_the_beat():
    personal = ALERT | {"personal_score": 4.21, "decided_by": "personal", "priority": "high", "event": "updated"}
    margin = [None] * 10
    facts, _, typical, _ = readable(orjson.dumps(personal | {"typical": margin + [4.0] * 120 + margin})).splitlines()
    assert "UPDATED  high" in facts
    assert facts.index("personal score 4.21") < facts.index("score 0.91 against") < facts.index("decided by personal")
    assert typical.removeprefix("    typical ") == " " * 5 + "█" * 60 + " " * 5


def test_where_the_population_decides_its_score_stands_first():
    (facts, *_) = readable(orjson.dumps(ALERT | {"personal_score": 1.5, "decided_by": "population"})).splitlines()
    assert facts.index("score 0.91 against") < facts.index("personal score 1.5") < facts.index("decided by population")


def test_an_episode_that_opens_again_is_named_so():
    assert "REOPENED" in readable(orjson.dumps(ALERT | {"reopened": True}))


def test_an_alarm_that_waits_to_be_seen_is_named_so():
    assert "LATCHED" in readable(orjson.dumps(ALERT | {"event": "updated", "presence": "latched"}))


def test_what_makes_an_alarm_doubtful_stands_beside_its_cause():
    assert "unusual-shape (noisy) (clock)" in readable(orjson.dumps(ALERT | {"marks": ["noisy", "clock"]}))


def test_an_acknowledgement_says_when_who_and_why_and_so_does_what_follows():
    seen = {"by": "A. Meier", "at": "2026-11-24T10:00:30.000Z", "note": "electrode", "version": 0}
    nothing = dict.fromkeys(("beat_time", "score", "p_value", "samples", "reconstruction"))
    line = readable(orjson.dumps(ALERT | nothing | {"event": "acknowledged", "acknowledged": seen}))
    assert line.startswith("2026-11-24T10:00:30.000Z  ACKNOWLEDGED  medium")
    assert "  acknowledged by A. Meier: electrode  physiological:ecg.beats:0:3" in line
    later = readable(orjson.dumps(ALERT | {"acknowledged": seen | {"note": ""}})).splitlines()[0]
    assert later.startswith("2026-11-24T10:00:00.000Z")
    assert "  acknowledged by A. Meier  " in later


def test_the_end_of_a_source_says_when_who_and_why():
    ended = {"by": "clerk", "at": "2026-11-24T10:00:30.000Z", "note": "went home", "version": 0}
    nothing = dict.fromkeys(("beat_time", "score", "p_value", "samples", "reconstruction"))
    line = readable(orjson.dumps(ALERT | nothing | {"event": "closed", "cause": "ended", "ended": ended}))
    assert line.startswith("2026-11-24T10:00:30.000Z  CLOSED  medium")
    assert "  ended by clerk: went home  physiological:ecg.beats:0:3" in line


@pytest.mark.parametrize("field", ["by", "at", "note"])
def test_no_field_of_an_acknowledgement_can_send_control_sequences_to_the_terminal(field):
    seen = {"by": "x", "at": "now", "note": "y", "version": 0} | {field: "\x1b[2J\u202e"}
    assert readable(orjson.dumps(ALERT | {"event": "acknowledged", "acknowledged": seen})).split("\n")[0].isprintable()


def test_an_end_has_no_curves():
    ended = ALERT | {"event": "closed", "samples": None, "reconstruction": None, "score": None, "p_value": None}
    assert "\n" not in readable(orjson.dumps(ended))


def test_a_flat_curve_is_drawn():
    assert len(readable(orjson.dumps(ALERT | {"samples": [1.0] * 140, "reconstruction": None})).splitlines()) == 2


@pytest.mark.parametrize("field", ["source", "id", "event", "kind", "priority", "cause", "beat_time"])
@pytest.mark.parametrize("sequence", ["\x1b[2J", "\x9b2J", "\u202e", "\u2028"])
def test_no_field_can_send_control_sequences_to_the_terminal(field, sequence):
    (facts, *_) = readable(orjson.dumps(ALERT | {field: f"{sequence}bed"})).split("\n")
    assert facts.isprintable()
    assert "bed" in facts.lower()


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b"3", b'{"id": 1}', b'{"beats": 3}', ENDLESS, UNKNOWN])
def test_a_record_that_is_not_an_alert_is_reported(value):
    assert readable(value).startswith("(not an alert")
