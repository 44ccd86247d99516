"""When episodes open and close, and that it never depends on how polls cut the stream."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms import episode_state
from monitor.alarms.episodes import Episodes
from monitor.alarms.recent.technical import CLOCK
from monitor.alarms.rule import BeatFlags, EpisodeRule
from monitor.beats.beat import Beats

if TYPE_CHECKING:
    from monitor.alarms.rule import Event

RULE = EpisodeRule(flagged=3, window=5, close=5, silence_ms=60_000)
FLAT = 1


def stream(verdicts, *, sources=None, times=None, partition=0, first_offset=0):
    """Beats of one partition with their verdicts: `.` normal, `A` abnormal, `F` flat."""
    n = len(verdicts)
    beats = Beats(
        samples=np.zeros((n, 140), np.float32),
        source=np.array(sources or [b"bed"] * n, object),
        time=np.array(times if times is not None else [800 * i for i in range(n)], np.int64),
        partition=np.full(n, partition, np.int32),
        offset=np.arange(first_offset, first_offset + n, dtype=np.int64),
        noise=np.full(n, np.nan, np.float32),
    )
    abnormal, flat = np.array([v == "A" for v in verdicts]), np.array([FLAT * (v == "F") for v in verdicts], np.int8)
    return beats, BeatFlags.of_population(abnormal, flat)


def summary(events: list[Event], first_offset: int = 0):
    return [(event.name, event.kind, event.row + first_offset, event.silent) for event in events]


def play(verdicts, rule=RULE, **columns):
    return summary(Episodes(rule).observe(*stream(verdicts, **columns)).events)


def test_normal_beats_cause_nothing():
    assert play("." * 50) == []


def test_three_of_five_abnormal_beats_open_an_episode_once():
    assert play("A.AA") == [("opened", "physiological", 3, False)]
    assert play("AAAAAAAA") == [("opened", "physiological", 2, False)]


def test_two_of_five_do_not():
    assert play("A...AA...A.A...") == []


def test_five_normal_beats_in_a_row_close_it_and_a_new_one_may_open():
    assert play("AAA....A.....AAA") == [
        ("opened", "physiological", 2, False),
        ("closed", "physiological", 12, False),
        ("opened", "physiological", 15, False),
    ]


def test_one_of_one_reports_every_run():
    rule = EpisodeRule(flagged=1, window=1, close=1, silence_ms=60_000)
    assert [name for name, *_ in play(".AA.A..", rule)] == ["opened", "closed", "opened", "closed"]


def test_beats_that_cannot_be_scored_are_a_technical_episode_and_leave_the_other_as_it_is():
    assert play("AAFFFA") == [("opened", "technical", 4, False), ("opened", "physiological", 5, False)]
    assert play("AAA....FFF.") == [
        ("opened", "physiological", 2, False),
        ("opened", "technical", 9, False),
        ("closed", "physiological", 10, False),
    ]


def test_counts_begin_with_the_window_that_opened_the_episode():
    opened, closed = Episodes(RULE).observe(*stream("A.AA.....")).events
    assert (opened.episode.flagged_beats, opened.episode.seen_beats) == (3, 4)
    assert (closed.episode.flagged_beats, closed.episode.seen_beats) == (3, 9)
    assert opened.episode.opened_offset == closed.episode.opened_offset == 3


MERGING = EpisodeRule(flagged=3, window=5, close=5, silence_ms=600_000, merge_ms=120_000)


def personal(runs, times=None, priorities=None):
    """Events of a source with a profile: (name, row, offset of the opening, flagged beats, priority)."""
    beats, flags = stream("." * len(runs), times=times)
    columns = np.array(runs, np.int32), np.array(priorities or [0] * len(runs), np.int8)
    events = Episodes(MERGING).observe(beats, replace(flags, run=columns[0], priority=columns[1])).events
    facts = [(one, one.episode.opened_offset, one.episode.flagged_beats, one.episode.priority) for one in events]
    return [("reopened" if one.reopened else one.name, one.row, *rest) for one, *rest in facts]


def test_a_beat_that_the_personal_score_flags_opens_an_episode_at_once():
    assert personal([0, 0, 3, 4, 0, 0, 0, 0, 0]) == [("opened", 2, 2, 3, 0), ("closed", 8, 2, 4, 0)]


def test_the_priority_is_that_of_the_beat_and_rises_with_an_event():
    events = personal([3, 4, 5, 6], priorities=[0, 1, 0, 2])
    assert events == [("opened", 0, 0, 3, 0), ("updated", 1, 0, 4, 1), ("updated", 3, 0, 6, 2)]


def test_within_the_merge_time_it_is_the_same_episode_and_later_another_one():
    runs, times = [3, 0, 0, 0, 0, 0, 3], [0, 1, 2, 3, 4, 5]
    assert personal(runs, [*times, 120_005])[-1] == ("reopened", 6, 0, 4, 0)
    assert personal(runs, [*times, 120_006])[-1] == ("opened", 6, 6, 3, 0)


def test_an_episode_that_may_open_again_does_not_count_as_open_and_its_source_is_forgotten_in_time():
    episodes = Episodes(MERGING)
    observed = episodes.observe(*stream("AAA....."))
    assert episodes.open["physiological"] == 0
    assert observed.changes[-1].state.episodes[0].closed_at == 800 * 7
    assert episodes.observe(*stream(".", first_offset=8, times=[125_600])).changes[-1].state is not None
    observed = episodes.observe(*stream(".", first_offset=9, times=[125_601]))
    assert ([change.state for change in observed.changes], observed.events) == ([None], [])


def test_a_silent_source_is_forgotten_without_another_event():
    sources, times = [b"bed"] * 8 + [b"other"] * 90, [0, 1, 2, 3, 4, 5, 6, 7, *range(10_000, 910_000, 10_000)]
    episodes = Episodes(EpisodeRule(3, 5, 5, 600_000, 700_000))
    observed = episodes.observe(*stream("AAA....." + "." * 90, sources=sources, times=times))
    assert [event.name for event in observed.events] == ["opened", "closed"]
    assert observed.changes == []


def test_a_technical_cause_that_leaves_a_beat_judged_counts_for_both_kinds():
    beats, flags = stream("AAA")
    events = Episodes(RULE).observe(beats, replace(flags, technical=np.full(3, 4, np.int8))).events
    assert [(event.kind, event.episode.cause) for event in events] == [("physiological", 1), ("technical", 4)]


def test_an_episode_ends_as_silent_once_the_partition_went_on_without_its_source():
    verdicts, sources = "AAA" + "." * 80, [b"bed"] * 3 + [b"other"] * 80
    assert play(verdicts, sources=sources) == [
        ("opened", "physiological", 2, False),
        ("closed", "physiological", 78, True),
    ]


def with_wild(beats, wild_time, *, every=2):
    """Abnormal beats of a bed, with a normal beat of another source after every second one; its times as given."""
    rows = []
    for beat in range(beats):
        rows.append(("A", b"bed", 800 * beat))
        if beat % every == every - 1:
            rows.append((".", b"wild", wild_time(beat)))
    verdicts, sources, times = zip(*rows, strict=True)
    return play("".join(verdicts), sources=list(sources), times=times)


@pytest.mark.parametrize(
    "wild_time",
    [
        lambda beat: 800 * beat + 61_000,
        lambda beat: 800 * beat + 61_000 * (beat // 2 + 1),
        lambda beat: 800 * beat + 600_000,
        lambda beat: 800 * beat + 2000 * beat,
        lambda beat: 61_000 * (-1) ** (beat // 2) + 800 * beat,
        lambda _: 2**62,
        lambda _: 2**63 - 1,
        lambda _: -1,
        lambda beat: [2**62, 0, -1, 10**12][beat // 2 % 4],
    ],
)
def test_no_clock_of_another_source_silences_a_bed(wild_time):
    events = with_wild(100, wild_time)
    assert [one for one in events if one[1] == "physiological"] == [("opened", "physiological", 3, False)]


def clocked(verdicts, hour_ahead):
    """Events of a bed beside another one that is right; at `1` in `hour_ahead` its clock is an hour ahead."""
    rows = [
        row
        for beat, (verdict, ahead) in enumerate(zip(verdicts, hour_ahead, strict=True))
        for row in ((".", b"other", 800 * beat), (verdict, b"bed", 800 * beat + 3_600_000 * int(ahead)))
    ]
    verdict, source, time = zip(*rows, strict=True)
    return Episodes(RULE).observe(*stream("".join(verdict), sources=list(source), times=list(time))).events


def test_a_clock_that_is_far_ahead_opens_a_technical_alarm_until_it_is_right_again():
    events = clocked("." * 20, "00001111110000000000")
    assert [(one.name, one.kind, one.source, one.row, one.episode.cause) for one in events] == [
        ("opened", "technical", b"bed", 2 * 6 + 1, CLOCK),
        ("closed", "technical", b"bed", 2 * 14 + 1, CLOCK),
    ]


def test_an_alarm_that_opens_at_a_beat_of_a_wrong_clock_is_marked_and_one_before_is_not():
    marked = {(one.kind, one.name): one.marks for one in clocked("....AAAA........", "0000111111111111")}
    assert marked["physiological", "opened"] == (CLOCK,)
    assert marked["technical", "opened"] == marked["physiological", "closed"] == ()
    assert clocked("AAAA............", "0000111111111111")[0].marks == ()


def test_a_flat_line_of_a_source_with_a_wrong_clock_is_the_cause_of_the_alarm():
    (opened,) = clocked("....FFFFFF", "0000111111")
    assert opened.episode.cause == FLAT


def test_many_wrong_clocks_in_a_row_do_not_silence_a_bed():
    rows = [("A", b"bed", 800 * beat) for beat in range(10)]
    rows[2:2] = [(".", b"wild-%d" % (one % 5), 61_000 * one) for one in range(25)]
    verdicts, sources, times = zip(*rows, strict=True)
    events = play("".join(verdicts), sources=list(sources), times=times)
    assert [(name, silent) for name, _, _, silent in events] == [("opened", False)]


@pytest.mark.parametrize("wrong", [[2**62], [61_000], [600_000] * 3, [10**12, 10**12 + 1], [-1, 2**63 - 1]])
def test_after_wrong_times_an_episode_of_a_source_that_stops_still_ends_as_silent(wrong):
    times = [0, 800, 1600, *wrong, *(1600 + 400 * beat for beat in range(400))]
    sources = [b"bed"] * 3 + [b"wild-%d" % one for one in range(len(wrong))] + [b"c", b"d"] * 200
    verdicts = "AAA" + "." * (len(times) - 3)
    assert [(event[0], event[3]) for event in play(verdicts, sources=sources, times=times)] == [
        ("opened", False),
        ("closed", True),
    ]


def test_sources_do_not_mix():
    assert play("AAAA", sources=[b"a", b"b", b"a", b"b"]) == []


def test_the_number_of_open_episodes_follows():
    episodes = Episodes(RULE)
    episodes.observe(*stream("AAAFFF"))
    assert episodes.open == {"physiological": 1, "technical": 1}
    episodes.observe(*stream(".....", first_offset=6, times=[9000] * 5))
    assert episodes.open == {"physiological": 0, "technical": 0}


def test_a_partition_that_is_revoked_has_no_open_episodes():
    episodes = Episodes(RULE)
    episodes.observe(*stream("AAA"))
    episodes.revoke(0)
    assert episodes.open == {"physiological": 0, "technical": 0}
    assert episodes.stream_time(0) is None
    assert episodes.observe(*stream("AA", first_offset=10, times=[9000, 9800])).events == []


beats = st.lists(
    st.tuples(st.sampled_from("..AAF"), st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 40_000)),
    min_size=1,
    max_size=60,
)


@given(beats, st.data())
def test_decisions_depend_neither_on_batches_nor_on_a_takeover(rows, data):
    verdicts, sources, gaps = zip(*rows, strict=True)
    times = np.cumsum(gaps).tolist()
    whole = Episodes(RULE)
    wanted = summary(whole.observe(*stream(verdicts, sources=list(sources), times=times)).events)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(rows) - 1)))) | {0, len(rows)})
    episodes, topic, found = Episodes(RULE), {}, []
    for start, end in pairwise(cuts):
        if data.draw(st.booleans()):  # another member takes over, from what was delivered
            stream_time, episodes = episodes.stream_time(0), Episodes(RULE)
            episodes.assign(0, stream_time, {source: episode_state.decode(value) for source, value in topic.items()})
        piece = slice(start, end)
        columns = {"sources": list(sources[piece]), "times": times[piece], "first_offset": start}
        observed = episodes.observe(*stream(verdicts[piece], **columns))
        found += summary(observed.events, start)
        for _, source, state in observed.changes:
            topic.pop(source, None)
            if state is not None:
                topic[source] = episode_state.encode(state)
    assert sorted(found) == sorted(wanted)
    assert episodes.open == whole.open
