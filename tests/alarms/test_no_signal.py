"""For any stream, sources that stop are noticed at the beat at which a look at each beat notices them."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from monitor.alarms.episodes import Episodes
from monitor.alarms.rule import EpisodeRule
from monitor.profiles.last_beats import LastBeats
from tests.alarms.beat_by_beat import BeatByBeat
from tests.alarms.test_batch import batch

RULES = [
    EpisodeRule(3, 5, 5, 60_000, merge_ms, no_signal_ms=30_000, forget_ms=forget_ms)
    for merge_ms, forget_ms in ((0, 0), (120_000, 0), (120_000, 200_000))
]
WATCHED = {b"a", b"b", b"c"}


class Rows:
    """The rows of the watched sources of one partition, in the order in which they come."""

    def __init__(self):
        self.last, self.names = LastBeats(), []

    def of(self, sources):
        """The row of each of these sources; -1 where it is not watched."""
        for source in sources:
            if source in WATCHED and source not in self.names:
                self.names.append(source)
                self.last.grow(1)
        return np.array([self.names.index(one) if one in WATCHED else -1 for one in sources], np.int64)

    def rows(self, partition):
        assert partition == 0
        return np.arange(len(self.names))

    def row(self, partition, source):
        assert partition == 0
        return self.names.index(source) if source in self.names else -1

    def source(self, row):
        return self.names[row]


class Watch:
    """`Episodes` with watched sources, and the plain version."""

    def __init__(self, rule):
        self.rows, self.sent = Rows(), 0
        self.quick, self.plain = Episodes(rule, self.rows), BeatByBeat(rule, WATCHED)

    def observe(self, beats):
        """Beats as (verdict, source, time); gives the events of both."""
        rows = [(0, self.sent + at, time, source, verdict) for at, (verdict, source, time) in enumerate(beats)]
        self.sent += len(rows)
        columns, flags = batch(rows)
        quick = self.quick.observe(columns, flags, self.rows.of(columns.source.tolist()))
        plain = self.plain.observe(columns, flags)
        assert in_order(quick.events) == in_order(plain.events)
        assert dict(by_source(quick.changes)) == dict(by_source(plain.changes))
        assert self.quick.open == self.plain.open
        return quick.events


def in_order(events):
    return sorted(events, key=lambda event: (event.row, event.source, event.kind))


def by_source(changes):
    return ((change.source, change.state) for change in changes)


PARTS = st.tuples(
    st.text("..AFu", min_size=1, max_size=12),
    st.sets(st.sampled_from([b"a", b"b", b"c", b"d"]), min_size=1),  # who sends meanwhile
    st.sampled_from([400, 900, 1900]),  # ms between beats
    st.integers(1, 30),  # beats of each
)


@profile(max_examples=300, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    parts=st.lists(PARTS, max_size=12),
    cuts=st.lists(st.sampled_from([1, 2, 9, 40, 300]), min_size=1),
)
def test_sources_that_stop_are_noticed_as_by_a_look_at_each_beat_however_beats_are_cut(rule, parts, cuts):
    beats = [
        (verdicts[number % len(verdicts)], source, gap)
        for verdicts, sources, gap, count in parts
        for number in range(count)
        for source in sorted(sources)
    ]
    times = accumulate(gap for *_, gap in beats)
    beats = [(verdict, source, time) for (verdict, source, _), time in zip(beats, times, strict=True)]
    watch, at = Watch(rule), 0
    while at < len(beats):
        size = cuts[at % len(cuts)]
        watch.observe(beats[at : at + size])
        at += size


def minute(watch, source, start, verdicts):
    """A beat a second from this second on."""
    return watch.observe([(one, source, 1000 * (start + at)) for at, one in enumerate(verdicts)])


def names(events):
    return [(event.name, event.kind, event.source, event.silent) for event in events]


def test_an_alarm_is_frozen_while_its_source_is_silent_and_goes_on_after_that():
    watch = Watch(RULES[1])
    assert names(minute(watch, b"a", 0, "AAA")) == [("opened", "physiological", b"a", False)]
    assert names(minute(watch, b"d", 3, "." * 100)) == [("opened", "technical", b"a", True)]
    assert watch.quick.state(0, b"a").episodes[0].is_open
    back = minute(watch, b"a", 103, "N....")
    assert names(back) == [("closed", "technical", b"a", False), ("closed", "physiological", b"a", False)]


def test_each_stop_is_an_alarm_of_its_own_named_after_the_last_beat():
    watch = Watch(RULES[1])
    minute(watch, b"a", 0, "...")
    first = minute(watch, b"d", 3, "." * 40)
    minute(watch, b"a", 43, ".")
    second = minute(watch, b"d", 44, "." * 40)
    assert [event.episode.opened_offset for event in (*first, *second)] == [2, 43]


def test_an_open_technical_alarm_becomes_no_signal_and_keeps_its_name():
    watch = Watch(RULES[0])
    (opened,) = minute(watch, b"a", 0, "FFF")
    (updated,) = minute(watch, b"d", 3, "." * 40)
    assert (updated.name, updated.episode.opened_offset) == ("updated", opened.episode.opened_offset)
    assert names(minute(watch, b"a", 43, ".")) == [("closed", "technical", b"a", False)]


def test_beats_that_are_read_again_do_not_end_a_silence():
    watch = Watch(RULES[0])
    minute(watch, b"a", 0, "...")
    minute(watch, b"d", 3, "." * 40)
    again = Episodes(RULES[0], watch.rows)
    again.assign(0, watch.quick.stream_time(0), {b"a": watch.quick.state(0, b"a")})
    columns, flags = batch([(0, at, 1000 * at, b"a", ".") for at in range(4)])
    assert (
        again.observe(columns.select(columns.offset < 3), flags.select(columns.offset < 3), np.zeros(3, int)).events
        == []
    )
    back = again.observe(
        columns.select(columns.offset == 3), flags.select(columns.offset == 3), np.zeros(1, int)
    ).events
    assert [event.name for event in back] == ["closed"]


def test_what_does_not_come_back_is_forgotten_with_its_frozen_alarm():
    watch = Watch(RULES[2])
    minute(watch, b"a", 0, "AAA")
    events = [
        event
        for second in range(3, 303, 2)
        for event in (*minute(watch, b"d", second, "."), *minute(watch, b"e", second + 1, "."))
    ]
    assert [(event.kind, event.forgotten) for event in events if event.name == "closed"] == [
        ("physiological", True),
        ("technical", True),
    ]
    assert watch.quick.state(0, b"a") is None
    assert names(minute(watch, b"a", 303, ".")) == []


def test_a_source_that_is_not_watched_closes_as_silent():
    watch = Watch(RULES[0])
    minute(watch, b"d", 0, "AAA")
    assert names(minute(watch, b"a", 3, "." * 100)) == [("closed", "physiological", b"d", True)]
