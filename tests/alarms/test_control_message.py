"""Control messages: what is written is read, and an invalid message is refused with its reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms import control_message
from monitor.alarms.control_message import ControlRequest, ProfileReset, ThresholdCommand
from monitor.alarms.lifecycle import Acknowledgement
from monitor.alarms.pauses import FOREVER, PauseCommand
from monitor.errors import RefusedError
from monitor.records.record import ControlRecord
from monitor.records.stream_time import MAX_TIME_MS
from monitor.terminal import printable

KEY = b"threshold/bed 7"


def read(value, key=KEY):
    return control_message.read(ControlRecord(key, value, 12))


@given(
    st.sampled_from(["threshold", "false_alarm_rate"]),
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.text(max_size=50),
    st.text(max_size=50),
)
def test_a_command_that_is_written_is_read(measure, amount, by, note):
    command = ThresholdCommand(measure, amount, by, note)
    assert read(control_message.encode(command)) == ControlRequest(b"bed 7", command)


def test_null_clears_the_threshold():
    assert read(None, b"threshold/*") == ControlRequest(b"*", None)


def test_unknown_fields_are_ignored():
    command = ThresholdCommand("threshold", 3.0, "", "")
    assert read(b'{"threshold": 3, "by": 7, "note": null, "x": {}}') == ControlRequest(b"bed 7", command)


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_reset_that_is_written_is_read(by, note):
    assert read(control_message.encode_reset(by, note), b"profile/bed 7") == ProfileReset(b"bed 7", 12, by, note)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (b"profile/", b'{"reset": true}', "the source has no name"),
        (b"profile/*", b'{"reset": true}', "one source at a time"),
        (b"profile/\xff", b'{"reset": true}', "not UTF-8 at byte 0"),
        (b"profile/" + b"x" * 257, b'{"reset": true}', "more than 256 bytes"),
        (b"profile/a", b"{}", "it has no `reset` that is true"),
        (b"profile/a", b'{"reset": 1}', "it has no `reset` that is true"),
        (b"profile/a", b'{"reset": true, "reset": true}', "occurs more than once"),
        (b"profile/a", b"x" * (control_message.MAX_VALUE_BYTES + 1), "it has more than the 65536 bytes"),
    ],
)
def test_a_reset_that_is_not_right_is_refused_and_resets_nothing(key, value, expected):
    with pytest.raises(RefusedError, match=expected):
        read(value, key)
    assert control_message.resets([ControlRecord(key, value, 12)]) == ()


@pytest.mark.parametrize("source", ["", "*", "x" * 257, "\ud800"])
def test_a_name_that_no_source_has_cannot_be_reset(source):
    with pytest.raises(RefusedError):
        control_message.profile_key(source)


def test_resets_are_found_among_other_records():
    values = {b"profile/a": b'{"reset": true}', b"threshold/a": b'{"threshold": 1}', b"profile/b": None, b"x": b"y"}
    records = [ControlRecord(key, value, number) for number, (key, value) in enumerate(values.items())]
    assert control_message.resets(records) == (ProfileReset(b"a", 0),)


ALARM, SEEN_KEY = "physiological:ecg.beats:0:3", b"acknowledge/physiological/bed 7"


@given(by=st.text(min_size=1, max_size=64).filter(str.strip), note=st.text(max_size=128))
def test_an_acknowledgement_that_is_written_is_read_without_control_characters(by, note):
    read_one = read(control_message.encode_acknowledgement(ALARM, by, 1, note), SEEN_KEY)
    assert (read_one.kind, read_one.topic, read_one.partition, read_one.alarm) == ("physiological", "ecg.beats", 0, 3)
    assert (read_one.given.by, read_one.given.note) == (printable(by), printable(note))
    assert read_one.given[1:4:2] == (1, 12)


def test_an_acknowledgement_that_was_removed_asks_for_nothing():
    assert read(None, SEEN_KEY) is None


@pytest.mark.parametrize("by", ["", " ", "x" * 65])
def test_nobody_acknowledges_without_a_short_name(by):
    with pytest.raises(RefusedError):
        control_message.encode_acknowledgement(ALARM, by, 1, "")


@given(since=st.integers(0, MAX_TIME_MS - 1), lasting=st.integers(1, 10**9), note=st.text(max_size=128))
def test_a_pause_that_is_written_is_read(since, lasting, note):
    until = min(since + lasting, MAX_TIME_MS)
    one = read(control_message.encode_pause("ann", since, until, note), b"pause/bed 7")
    assert one == PauseCommand(b"bed 7", True, since, until, "ann", printable(note), 12)
    assert read(control_message.encode_pause("ann", since, None, note), b"pause/*").until == FOREVER
    assert not read(control_message.encode_pause("ann", since, None, note, is_on=False), b"pause/*").is_on


def test_a_pause_that_was_removed_is_over():
    assert read(None, b"pause/bed 7") == PauseCommand(b"bed 7", False, 0, FOREVER, version=12)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"{}", "it has no `pause` that is true or false"),
        (b'{"pause": 1}', "it has no `pause` that is true or false"),
        (b'{"pause": true, "at": 1}', "it has no `by`"),
        (b'{"pause": true, "by": "x"}', "it has no `at`"),
        (b'{"pause": true, "by": "x", "at": 5, "until": 5}', "its `until` is not after its `at`"),
        (b'{"pause": true, "by": "x", "at": 5, "until": null}', "it has no `until`"),
        (b'{"pause": true, "by": "x", "at": 5, "until": 1e300}', "it has no `until`"),
    ],
)
def test_a_pause_that_lacks_something_is_refused_and_pauses_nothing(value, expected):
    with pytest.raises(RefusedError, match=expected):
        read(value, b"pause/bed 7")
    assert control_message.pauses([ControlRecord(b"pause/bed 7", value, 12)]) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"{}", "`alarm` is not the id of an alarm"),
        (b'{"alarm": "physiological:ecg.beats:0:1e3"}', "`alarm` is not the id of an alarm"),
        (b'{"alarm": "technical:ecg.beats:0:3"}', "the key is not acknowledge/<kind>/<source>"),
        (b'{"alarm": "physiological:ecg.beats:0:3"}', "it has no `by`"),
        (b'{"alarm": "physiological:ecg.beats:0:3", "by": "x"}', "it has no `at`"),
        (b'{"alarm": "physiological:ecg.beats:0:3", "by": "x", "at": 1e300}', "it has no `at`"),
        (b'{"alarm": "physiological:ecg.beats:0:3", "by": "x", "at": 1.5}', "it has no `at`"),
    ],
)
def test_an_acknowledgement_that_lacks_something_is_refused(value, expected):
    with pytest.raises(RefusedError, match=expected):
        read(value, SEEN_KEY)


END_KEY = b"source/bed 7"


@given(by=st.text(min_size=1, max_size=64).filter(str.strip), note=st.text(max_size=128))
def test_an_end_that_is_written_is_read_without_control_characters(by, note):
    given_by = Acknowledgement(by, 1, note, 0)
    end = read(control_message.encode_end("ecg.beats", {0: 12, 3: 0}, given_by), END_KEY)
    assert (end.source, end.topic, dict(end.before)) == (b"bed 7", "ecg.beats", {0: 12, 3: 0})
    assert end.given == Acknowledgement(printable(by), 1, printable(note), 12)
    assert read(None, END_KEY) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"{}", "it has no `end` of 1 to 16 partitions"),
        (b'{"end": {}}', "it has no `end` of 1 to 16 partitions"),
        (b'{"end": {%b}}' % b",".join(b'"%d": 1' % one for one in range(17)), "it has no `end` of 1 to 16"),
        (b'{"end": {"x": 1}}', "an entry of `end` is not a partition with an offset"),
        (b'{"end": {"0": -1}}', "an entry of `end` is not a partition with an offset"),
        (b'{"end": {"0": true}}', "an entry of `end` is not a partition with an offset"),
        (b'{"end": {"0": 1e300}}', "an entry of `end` is not a partition with an offset"),
        (b'{"end": {"0": 1}}', "it has no `topic`"),
        (b'{"end": {"0": 1}, "topic": "ecg.beats"}', "it has no `by`"),
        (b'{"end": {"0": 1}, "topic": "ecg.beats", "by": "x"}', "it has no `at`"),
    ],
)
def test_an_end_that_lacks_something_is_refused(value, expected):
    with pytest.raises(RefusedError, match=expected):
        read(value, END_KEY)
    assert control_message.source_ends([ControlRecord(END_KEY, value, 0)]) == []


@pytest.mark.parametrize("by", ["", " ", "x" * 65])
def test_nobody_ends_a_source_without_a_short_name(by):
    with pytest.raises(RefusedError):
        control_message.encode_end("ecg.beats", {0: 1}, Acknowledgement(by, 1, "", 0))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b"[]", "the value is a list, where an object is expected"),
        (b"3", "the value is a number"),
        (b"{}", "it has neither `threshold` nor `false_alarm_rate`"),
        (b'{"threshold": 1, "false_alarm_rate": 0.1}', "it has both `threshold` and `false_alarm_rate`"),
        (b'{"threshold": 1, "false_alarm_rate": null}', "it has both"),
        (b'{"threshold": 1, "threshold": 2}', "the field 'threshold' occurs more than once"),
        (b'{"threshold": 1, "x": [{"a": 1, "a": 2}]}', "the field 'a' occurs more than once"),
        (b'{"threshold": true}', "`threshold` is a boolean, where a number is expected"),
        (b'{"threshold": "0.4"}', "`threshold` is text"),
        (b'{"threshold": null}', "`threshold` is null"),
        (b'{"threshold": NaN}', "`threshold` is nan, where a number above 0 is expected"),
        (b'{"threshold": Infinity}', "`threshold` is inf"),
        (b'{"threshold": 1e999}', "1e999 is beyond what a double can hold"),
        (b'{"threshold": 0}', "`threshold` is 0"),
        (b'{"threshold": -1}', "`threshold` is -1"),
        (b'{"false_alarm_rate": 0}', "`false_alarm_rate` is 0, where a share of the normal beats"),
        (b'{"false_alarm_rate": 1}', "`false_alarm_rate` is 1"),
        (b'{"false_alarm_rate": NaN}', "`false_alarm_rate` is nan"),
        (
            b'{"threshold": 1, "note": "' + b"x" * control_message.MAX_VALUE_BYTES + b'"}',
            "it has more than the 65536 bytes that a control message has at most",
        ),
        (b'{"threshold": ' + b"[" * 30_000 + b"}", "nested too deeply"),
    ],
)
def test_an_invalid_value_is_named(value, expected):
    with pytest.raises(RefusedError) as found:
        read(value)
    assert expected in str(found.value)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, "names no source"),
        (b"", "names no source"),
        (b"bed 7", "names no source"),
        (b"threshold", "names no source"),
        (b"threshold/", "the source has no name"),
        (b"threshold/\xff", "the source is not UTF-8 at byte 0"),
    ],
)
def test_a_key_that_names_no_source_is_named(key, expected):
    with pytest.raises(RefusedError, match=expected):
        read(b'{"threshold": 1}', key)


def test_the_message_about_an_ignored_record_names_its_position_and_fault_without_control_characters():
    change = ControlRecord(b"threshold/\x1b[2J\xff" + b"x" * 500, b"", 12)
    message = control_message.why_ignored(change, RefusedError("\x07"))
    assert message.startswith("control record at offset 12, key threshold/\ufffd[2J\\xff")
    assert message.isprintable()
    assert len(message) < 200


@pytest.mark.parametrize(("source", "expected"), [("", "has no name"), ("\udcff", "not UTF-8")])
def test_an_impossible_source_has_no_key(source, expected):
    with pytest.raises(RefusedError, match=expected):
        control_message.key(source)
