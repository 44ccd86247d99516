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


def test_an_alert_is_a_line_of_facts_and_two_curves_on_one_scale():
    facts, beat, model = readable(orjson.dumps(ALERT)).splitlines()
    for word in ("OPENED", "medium", "bed 7", "unusual-shape", "3 of 5", "0.91", "0.245", "0.0034"):
        assert word in facts
    assert beat.split("beat  ")[1] == " " * 35 + "█" * 35
    assert model.split("model ")[1] == " " * 70


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


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b"3", b'{"id": 1}', b'{"beats": 3}', ENDLESS])
def test_a_record_that_is_not_an_alert_is_reported(value):
    assert readable(value).startswith("(not an alert")
