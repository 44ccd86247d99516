"""What is on now, from the rows of the state topic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.current import AlarmFilter, CurrentAlarms
from monitor.alarms.episode_state import MAX_ROW_BYTES, encode
from monitor.alarms.lifecycle import AlarmLife
from monitor.alarms.rule import QUIET, EpisodeState, SourceState
from monitor.records.record import GROUP_HEADER

OWN, OTHER = ((GROUP_HEADER, b"ward"),), ((GROUP_HEADER, b"other \x1b[2J"),)
NOW_MS = 1_800_000_000_000
OPEN = EpisodeState(7, 5, 0, opened_offset=12, opened_at=NOW_MS - 65_000, flagged_beats=3, seen_beats=5, cause=1)
CLOSED = OPEN._replace(closed_at=NOW_MS - 1000)
NEARLY = EpisodeState(recent=1, length=1, cause=1)


def row(physiological=QUIET, technical=QUIET):
    return encode(SourceState((physiological, technical), NOW_MS, 17))


def settled(*records, group="ward"):
    """After these records: (source, value), or with the headers as a third part; all in partition 3."""
    current = CurrentAlarms(group)
    for source, value, *headers in records:
        current.take((3, source), value, headers[0] if headers else OWN, NOW_MS)
    return current, current.settle()


def test_only_an_open_episode_is_an_alarm():
    current, _ = settled((b"a", row(OPEN)), (b"b", row(CLOSED)), (b"c", row(NEARLY)), (b"d", row(NEARLY, OPEN)))
    assert {(alarm.source, alarm.kind) for alarm in current} == {("a", "physiological"), ("d", "technical")}
    assert current.left_out() == ""


def test_an_alarm_has_the_words_and_the_id_of_its_alerts():
    (alarm,), _ = settled((b"bed 7", row(OPEN._replace(priority=2, cause=2))))
    fields = alarm.fields("ecg.beats", NOW_MS)
    assert fields["id"] == "physiological:ecg.beats:3:12"
    assert (fields["priority"], fields["cause"], fields["decided_by"]) == ("high", "frequent-ectopy", "personal")
    assert (fields["opened_at"], fields["seconds"]) == ("2027-01-15T07:58:55.000Z", 65.0)
    assert fields["beats"] == {"abnormal": 3, "seen": 5}


@pytest.mark.parametrize(
    ("kind", "changed", "decided_by"),
    [(0, {}, None), (0, {"priority": 0}, "personal"), (0, {"cause": 2}, "personal"), (1, {"priority": 2}, None)],
)
def test_who_decided_is_said_where_only_the_personal_score_gives_such_an_alarm(kind, changed, decided_by):
    episodes = [QUIET, QUIET]
    episodes[kind] = OPEN._replace(**changed)
    (alarm,), _ = settled((b"a", row(*episodes)))
    assert alarm.decided_by == decided_by


@pytest.mark.parametrize(("kind", "cause"), [(0, "unusual-shape"), (1, "unknown")])
def test_a_cause_of_a_later_version_is_named_as_in_alerts(kind, cause):
    episodes = [QUIET, QUIET]
    episodes[kind] = OPEN._replace(cause=99)
    (alarm,), _ = settled((b"a", row(*episodes)))
    assert alarm.cause == cause


@pytest.mark.parametrize(("opened_at", "seconds"), [(-1, None), (2**61, None), (NOW_MS + 1, 0.0)])
def test_a_time_that_cannot_be_is_not_counted_from(opened_at, seconds):
    (alarm,), _ = settled((b"a", row(OPEN._replace(opened_at=opened_at))))
    assert alarm.fields("ecg.beats", NOW_MS)["seconds"] == seconds


def test_the_most_urgent_alarm_comes_first_then_the_latest():
    late = OPEN._replace(opened_at=NOW_MS)
    current, _ = settled((b"a", row(OPEN)), (b"b", row(late)), (b"c", row(OPEN._replace(priority=2))))
    assert [alarm.source for alarm in sorted(current, key=lambda one: one.urgency)] == ["c", "b", "a"]


def test_the_last_row_of_a_source_counts_and_a_deleted_one_is_no_alarm():
    current, changes = settled((b"a", row(CLOSED)), (b"a", row(OPEN)), (b"b", row(OPEN)), (b"b", None))
    assert [alarm.source for alarm in current] == ["a"]
    assert [(change.name, change.alarm.source) for change in changes] == [("on", "a")]


@pytest.mark.parametrize(
    ("after", "names"),
    [
        (row(OPEN._replace(seen_beats=6)), []),
        (row(OPEN._replace(priority=2)), ["updated"]),
        (row(OPEN, OPEN), ["on"]),
        (row(OPEN._replace(opened_offset=13)), ["off", "on"]),
        (row(CLOSED), ["off"]),
        (None, ["off"]),
        (b"{}", ["off"]),
    ],
)
def test_a_change_is_told_once(after, names):
    current, _ = settled((b"a", row(OPEN)))
    current.take((3, b"a"), after, OWN, NOW_MS)
    assert [change.name for change in current.settle()] == names
    assert current.settle() == []


def test_what_does_not_come_again_is_off():
    current, _ = settled((b"a", row(OPEN)), (b"b", row(OPEN)), (b"bad", b"{}"))
    current.begin_again()
    current.take((3, b"a"), row(OPEN), OWN, NOW_MS)
    assert [(change.name, change.alarm.source) for change in current.settle()] == [("off", "b")]
    assert current.left_out() == ""


STATES = st.sampled_from([QUIET, NEARLY, NEARLY._replace(recent=2), CLOSED, OPEN, OPEN._replace(recent=1)])


@given(st.lists(st.tuples(STATES, STATES), max_size=8))
def test_no_row_with_an_open_episode_is_passed_over(states):
    current, _ = settled(*((b"bed-%d" % number, row(*pair)) for number, pair in enumerate(states)))
    assert sum(1 for _ in current) == sum(one.is_open for pair in states for one in pair)
    assert current.left_out() == ""


def test_a_row_with_an_open_episode_behind_a_quiet_one_is_read():
    spoiled = row(NEARLY, OPEN).replace(b"opened_offset", b"\\u006fpened_offset", 2)
    current, _ = settled(
        (b"a", row(NEARLY)), (b"b", spoiled), (b"c", row(NEARLY).replace(b'"cause"', b'"x":1,"cause"'))
    )
    assert [alarm.source for alarm in current] == ["b"]
    assert current.left_out().startswith("1 row that")


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (b"a", b""),
        (b"a", b"\xff"),
        (b"a", b'{"schema":2,"offset":1,"clock":1,"tracks":{}}'),
        (b"a", row(OPEN._replace(priority=9))),
        (b"a", row(OPEN) + b" " * MAX_ROW_BYTES),
        (b"\xff", row(OPEN)),
        (b"", row(OPEN)),
        (b"a" * 5000, row(OPEN)),
    ],
)
def test_a_row_that_no_monitor_of_this_version_writes_is_left_out_and_counted(source, value):
    current, _ = settled((source, value), (b"good", row(OPEN)))
    assert [alarm.source for alarm in current] == ["good"]
    assert current.left_out().startswith("1 row that this version cannot read (")


def test_rows_of_another_group_are_left_out_and_named():
    current, _ = settled((b"a", row(OPEN)), (b"a", None, OTHER), (b"b", row(OPEN), OTHER))
    assert [alarm.source for alarm in current] == ["a"]
    assert current.left_out() == "2 records of group other \N{REPLACEMENT CHARACTER}[2J"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AlarmFilter(), {"a", "b"}),
        (AlarmFilter(source="a"), {"a"}),
        (AlarmFilter(kind="technical"), {"b"}),
        (AlarmFilter(priorities=("low", "high")), {"a"}),
        (AlarmFilter(source="a", kind="technical"), set()),
    ],
)
def test_a_filter_takes_what_it_names(wanted, found):
    current, _ = settled((b"a", row(OPEN._replace(priority=2))), (b"b", row(QUIET, OPEN)))
    assert {alarm.source for alarm in filter(wanted.takes, current)} == found


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from([None, b"?", row(OPEN), row(CLOSED)]))))
def test_changes_add_up_to_what_is_on_however_often_they_are_asked_for(records):
    current, seen = CurrentAlarms("ward"), set()
    for source, value in records:
        current.take((0, source), value, OWN, NOW_MS)
        for change in current.settle():
            (seen.remove if change.name == "off" else seen.add)(change.alarm.source)
    assert seen == {alarm.source for alarm in current}


def test_a_latched_alarm_is_shown_also_where_its_source_has_been_quiet_or_has_a_new_flagged_beat():
    life = AlarmLife(12, "latched", 2, 12, ended=OPEN._replace(priority=2))
    for state in (QUIET, NEARLY, CLOSED):
        (alarm,), _ = settled((b"a", encode(SourceState((state, QUIET), NOW_MS, 17), {"physiological": life})))
        assert (alarm.presence, alarm.priority, alarm.episode.opened_offset) == ("latched", "high", 12)
        assert alarm.fields("ecg.beats", NOW_MS)["presence"] == "latched"
        assert alarm.fields("ecg.beats", NOW_MS, is_off=True)["presence"] == "off"
