"""Records of the alerts topic as events: whatever is in them."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.forward.alertmanager import Alertmanager
from monitor.forward.event import NotAnAlertError, read_event
from monitor.forward.webhook import Webhook
from monitor.settings import Settings
from monitor.telemetry.forward_recorder import IGNORED
from tests.clocks import ManualClock
from tests.forward.pieces import NOW_MS, alert, event

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text() | st.integers(-(2**63), 2**63 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
DESTINATIONS = (
    Webhook(Settings()),
    Webhook(Settings(forward_patient_data=True)),
    Alertmanager(Settings(), ManualClock(0).clock),
)
FIELDS = (
    "id",
    "event",
    "source",
    "kind",
    "priority",
    "cause",
    "opened_at",
    "closed_at",
    "offset",
    "schema",
    "decided_by",
    "beats",
    "note",
)


def nested(depth):
    return alert()[:-1] + b',"decided_by":' + b"[" * depth + b"]" * depth + b"}"


def test_an_alert_of_the_monitor_is_read():
    one = event("closed", 7)
    assert (one.id, one.name, one.source) == ("physiological:ecg.beats:0:7", "closed", "bed-7")
    assert (one.closed_ms, one.caused_by) == (NOW_MS - 6_500_000, 107)
    assert one.is_end


def test_the_alert_that_the_documents_show_is_read():
    page = (Path(__file__).parents[2] / "docs" / "messages.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```json\n(\{\n  \"schema\".*?)```", page, re.DOTALL)
    one = read_event(shown.encode(), 0, 0, 0)
    assert (one.name, one.source, one.opened_ms) == ("opened", "bed-7", 1_795_984_045_910)


def test_an_event_of_a_later_version_is_one_as_well():
    assert not event("reminded", presence="latched").is_end


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{", "not-json"),
        (b"[" * 100_000, "not-json"),
        (b'"opened"', "not-json"),
        (alert(note="x" * 300_000), "too-large"),
        (alert(id=""), "not-an-alert"),
        (alert(source="x" * 257), "not-an-alert"),
        (alert(event="Opened"), "not-an-alert"),
        (alert(kind="a b"), "not-an-alert"),
        (alert(cause=None), "not-an-alert"),
        (alert(priority=["high"]), "not-an-alert"),
        (nested(300), "not-an-alert"),
        (nested(8), "not-an-alert"),
    ],
)
def test_what_is_no_alert_is_refused_with_a_fixed_word(value, why):
    with pytest.raises(NotAnAlertError, match=f"^{why}$"):
        read_event(value, 0, 0, 0)
    assert why in IGNORED


@given(st.binary(max_size=200) | st.dictionaries(st.sampled_from(FIELDS), ANYTHING).map(lambda one: alert(**one)))
def test_any_record_is_an_event_or_refused(value):
    try:
        one = read_event(value, 0, 0, 0)
    except NotAnAlertError:
        return
    assert orjson.loads(one.value)["id"] == one.id
    assert all(orjson.loads(to.request(one).body) for to in DESTINATIONS)


@given(st.integers(0, 1200))
def test_an_alert_of_any_depth_is_sent_or_refused(depth):
    with suppress(NotAnAlertError):
        one = read_event(nested(depth), 0, 0, 0)
        assert all(to.request(one) for to in DESTINATIONS)
