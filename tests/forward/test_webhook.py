"""Events as CloudEvents 1.0 over HTTP, in binary mode."""

from __future__ import annotations

from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.forward.event import read_event
from monitor.forward.webhook import Webhook
from monitor.settings import Settings
from tests.forward.pieces import alert, event

OPEN, CLOSED = Webhook(Settings(forward_patient_data=True)), Webhook(Settings())


def test_the_attributes_are_headers():
    assert CLOSED.request(event("opened", 7)).headers == {
        "ce-specversion": "1.0",
        "ce-id": "physiological:ecg.beats:0:7/opened/107",
        "ce-source": "/ecg-monitor/ecg.alerts",
        "ce-type": "ecg-monitor.alarm.opened",
        "ce-time": "2026-11-30T10:00:00.000Z",
    }


def test_the_time_of_an_event_without_a_time_is_that_of_its_record():
    assert CLOSED.request(event("opened", 7, beat_time=None)).headers["ce-time"] == "2026-11-30T11:53:20.000Z"


def test_the_body_is_the_alert_as_on_the_topic_where_the_setting_says_so():
    request = OPEN.request(event("opened", 7))
    assert request.body == alert("opened", 7)
    assert request.headers["ce-subject"] == "bed-7"


def test_else_the_source_the_beat_and_what_may_name_a_patient_are_not_in_it():
    body = orjson.loads(CLOSED.request(event("opened", 7, note="Mrs Smith", acknowledged={"by": "Dr X"})).body)
    whole = orjson.loads(alert("opened", 7))
    hidden = ("source", "samples", "reconstruction", "typical")
    assert body == whole | dict.fromkeys(hidden)


@pytest.mark.parametrize("caused_by", [None, "7", True, 7.5])
def test_an_event_that_names_no_beat_is_named_by_its_own_record(caused_by):
    value = alert(offset=caused_by)
    one = read_event(value, partition=2, offset=3, written_ms=0)
    assert CLOSED.request(one).headers["ce-id"] == "physiological:ecg.beats:0:0/opened/2.3"


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable()))
def test_any_source_can_be_a_header(source):
    subject = OPEN.request(event(source=source)).headers["ce-subject"]
    assert subject.isascii()
    assert subject.isprintable()
    assert not {" ", '"'} & set(subject)
    assert unquote(subject) == source


def test_a_source_cannot_add_a_header():
    subject = OPEN.request(event(source="bed\r\nX-Admin: 1")).headers["ce-subject"]
    assert subject == "bed%0D%0AX-Admin:%201"
