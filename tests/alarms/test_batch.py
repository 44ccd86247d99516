"""For any stream, `BatchObserver` gives what looking at each beat gives: the same events and states, in order."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms import episode_state
from monitor.alarms.episodes import Episodes
from monitor.alarms.rule import AFTER_RUN, FREQUENT, NOT_JUDGED, BeatFlags, EpisodeRule
from monitor.beats.beat import Beats
from monitor.records.stream_time import Pace, StreamTime, advance
from tests.alarms.beat_by_beat import BeatByBeat

RULES = [
    EpisodeRule(*numbers)
    for numbers in (
        *((3, 5, 5, 60_000), (1, 1, 1, 60_000), (2, 4, 9, 5000), (4, 64, 2, 2**70), (2, 2, 3, 0)),
        *((3, 5, 5, 60_000, 120_000), (1, 1, 1, 60_000, 1), (2, 6, 3, 5000, 2000), (2, 64, 2, 2**70, 2**70)),
    )
]
BRIEF = EpisodeRule(3, 5, 5, 4)
PACE = Pace.of_silence(60_000)
runs = st.lists(
    st.tuples(
        # normal, abnormal, flat, unscorable for another reason, flat and abnormal; by the personal score, with its
        # priority; noisy and normal, abnormal, by the personal score, flat; not judged; frequent ectopy, and soon
        # after a run; a run that begins
        st.sampled_from("....AAFGB012012nasfueeewr"),
        st.sampled_from([b"a", b"b", b"c", b"d"]),
        st.sampled_from([0, 800, 800, 800, -3000, 20_000, 70_000]),  # ms since the beat before the run
        st.integers(1, 9),
    ),
    max_size=20,
)


class Partition:
    """What was written to a partition, how far it is read, and what was delivered about it."""

    def __init__(self, number, written):
        self.number = number
        self.beats = [(verdict, source) for verdict, source, _, length in written for _ in range(length)]
        self.times = list(accumulate(gap if i == 0 else 1 for _, _, gap, length in written for i in range(length)))
        self.stream_times = [None]  # before each beat
        for time, (_, source) in zip(self.times, self.beats, strict=True):
            self.stream_times.append(advance(self.stream_times[-1], PACE, *column((time, source))).after)
        self.read, self.state = 0, {}

    def poll(self, count):
        """Rows of partition, offset, time, source and verdict."""
        offsets = range(self.read, min(self.read + count, len(self.beats)))
        self.read = offsets.stop
        return [(self.number, offset, self.times[offset], *reversed(self.beats[offset])) for offset in offsets]

    def restored(self):
        return (
            self.number,
            self.stream_times[self.read],
            {source: episode_state.decode(row) for source, row in self.state.items()},
        )


def column(row):
    """The columns of one beat, (time, source)."""
    return np.array([row[1]], object), np.array([row[0]], np.int64)


def batch(rows):
    partition, offset, time, source, verdict = zip(*rows, strict=True)
    beats = Beats(
        np.zeros((len(rows), 0), np.float32),
        np.array(source, object),
        np.array(time, np.int64),
        np.array(partition, np.int32),
        np.array(offset, np.int64),
        np.full(len(rows), np.nan, np.float32),
    )
    unscorable = np.array([".FG".find(one.upper().replace("B", "F")) for one in verdict], np.int8).clip(0)
    unscorable[[one == "u" for one in verdict]] = NOT_JUDGED
    run = [3 + at % 4 if one in "012ws" else 0 for at, one in zip(offset, verdict, strict=True)]
    flags = BeatFlags(
        abnormal=np.array([one in "ABa" for one in verdict]),
        unscorable=unscorable,
        run=np.array(run, np.int32),
        priority=np.array(["012".find(one) for one in verdict], np.int8).clip(0),
        technical=np.array([3 * (one in "nasf") for one in verdict], np.int8),
        frequent=np.array([{"e": FREQUENT, "r": AFTER_RUN, "w": FREQUENT}.get(one, 0) for one in verdict], np.int8),
    )
    return beats, flags


def play(verdicts, *, sources=None, times=None, first_offset=0):
    """Rows of one partition."""
    times = times or [800 * (first_offset + i) for i in range(len(verdicts))]
    return [
        (0, first_offset + i, times[i], (sources or [b"bed"] * len(verdicts))[i], v) for i, v in enumerate(verdicts)
    ]


def agree(both, rows):
    observed, wanted = (episodes.observe(*batch(rows)) for episodes in both)
    assert observed == wanted
    assert both[0].open == both[1].open
    return observed


def test_frequent_ectopy_opens_low_and_a_run_in_it_makes_the_same_episode_more_urgent():
    rule = EpisodeRule(3, 5, 5, 60_000, 120_000)
    events = agree([Episodes(rule), BeatByBeat(rule)], play("..ee.ewrre.ew1ree.....e.....")).events
    assert [(one.name, one.row, one.episode.cause, one.episode.priority, one.reopened) for one in events] == [
        ("opened", 2, 2, 0, False),
        ("updated", 6, 1, 0, False),
        ("updated", 12, 1, 0, False),
        ("updated", 13, 1, 1, False),
        ("closed", 21, 2, 1, False),
        ("opened", 22, 2, 1, True),
        ("closed", 27, 2, 1, False),
    ]


def test_frequent_ectopy_after_a_run_opens_no_other_episode_and_each_run_is_told():
    rule = EpisodeRule(3, 5, 5, 60_000, 120_000)
    events = agree([Episodes(rule), BeatByBeat(rule)], play("2rrrrreewr...w.....")).events
    assert [(one.name, one.row, one.episode.cause, one.episode.priority) for one in events] == [
        ("opened", 0, 1, 2),
        ("updated", 8, 1, 2),
        ("updated", 13, 1, 2),
        ("closed", 18, 1, 2),
    ]


def test_the_events_of_one_beat_are_in_the_order_in_which_they_were_noticed():
    sources = [bytes([letter]) for letter in b"aaadddbbbbbda"]
    times = [0, 1, 2, 0, 0, 0, 3, 4, 5, 6, 7, 7, 7]
    events = agree([Episodes(BRIEF), BeatByBeat(BRIEF)], play("AAAAAA..AAAAA", sources=sources, times=times)).events
    found = [(event.name, event.source, event.row) for event in events[2:]]
    assert found == [("opened", b"b", 10), ("closed", b"d", 10), ("closed", b"a", 10)]


def test_a_window_that_was_full_stays_so_while_the_other_kind_of_episode_goes_on():
    (*_, opened) = agree([Episodes(RULES[0]), BeatByBeat(RULES[0])], play("A.FFF....FAAA")).events
    assert (opened.kind, opened.episode.flagged_beats, opened.episode.seen_beats) == ("physiological", 3, 5)


def test_what_is_left_of_a_quiet_state_is_gone_a_beat_later():
    for verdicts in ("AFF......", "AFF....F..", "AFF......A"):
        (change,) = agree([Episodes(RULES[2]), BeatByBeat(RULES[2])], play(verdicts, times=[0] * len(verdicts))).changes
        shape, _ = change.state.episodes
        assert shape.length == verdicts.endswith("A")


def test_states_change_in_the_order_of_beats_also_where_a_source_comes_back_after_a_silence():
    both = [Episodes(BRIEF), BeatByBeat(BRIEF)]
    agree(both, play("A...A", sources=[b"a", b"x", b"x", b"x", b"b"], times=[0, 1, 2, 3, 4]))
    changed = agree(both, play("A.", sources=[b"b", b"a"], times=[5, 5], first_offset=5)).changes
    assert [change.source for change in changed] == [b"b", b"a"]


def test_under_a_stricter_rule_after_a_restart_the_next_beat_may_open_an_episode_and_a_later_one_close_it():
    (change,) = agree([Episodes(RULES[0]), BeatByBeat(RULES[0])], play("AA")).changes
    both = [Episodes(RULES[2]), BeatByBeat(RULES[2])]
    for episodes in both:
        episodes.assign(0, StreamTime.at(800), {change.source: change.state})
    events = agree(both, play("F" + "." * 9, first_offset=2)).events
    assert [(event.name, event.row) for event in events] == [("opened", 1), ("closed", 9)]


def disturb(data, partitions, both):
    """Now and then another member takes over, under another rule too; a partition is read again or revoked."""
    what = data.draw(st.sampled_from(["nothing", "nothing", "restart", "rewind", "revoked"]))
    if what == "restart":
        rule = data.draw(st.sampled_from(RULES))
        both = [Episodes(rule), BeatByBeat(rule)]
        restored = partitions
    elif what == "nothing":
        return both
    else:
        restored = [data.draw(st.sampled_from(partitions))]
    for partition in restored:
        if what == "rewind":  # at least once, where state is ahead of the offsets
            partition.read = data.draw(st.integers(0, partition.read))
        for episodes in both:
            if what == "revoked":
                episodes.revoke(partition.number)
            else:
                episodes.assign(*partition.restored())
    return both


@given(st.lists(runs, min_size=1, max_size=3), st.sampled_from(RULES), st.data())
def test_every_event_and_state_is_that_of_looking_at_each_beat(written, rule, data):
    partitions = [Partition(number, beats) for number, beats in enumerate(written)]
    both = [Episodes(rule), BeatByBeat(rule)]
    for _ in range(data.draw(st.integers(1, 10))):
        both = disturb(data, partitions, both)
        rows = [
            row for one in data.draw(st.permutations(partitions)) for row in one.poll(data.draw(st.integers(0, 40)))
        ]
        if not rows:
            continue
        observed = agree(both, rows)
        assert [both[0].stream_time(one.number) for one in partitions] == [
            both[1].stream_time(one.number) for one in partitions
        ]
        for number, source, state in observed.changes:
            partitions[number].state.pop(source, None)
            if state is not None:
                partitions[number].state[source] = episode_state.encode(state)
