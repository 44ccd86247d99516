"""The rule `run` in columns flags what `run_beat_by_beat` flags, and episodes follow from it as they do there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.episodes import Episodes
from monitor.alarms.rule import BeatFlags, EpisodeRule
from monitor.alarms.run_columns import MAX_RUN, RunCarry, flag
from monitor.alarms.run_rule import MERGE_MS, RunRule
from monitor.beats.beat import Beats
from tests.alarms.run_beat_by_beat import CLOSE, QUIET_RUN, ScoredBeat, after_scored_beat

SOURCES = 4
SCORES = st.sampled_from([-1.0, 1.3, 1.5, 2.0, 2.7, 3.5, 5.0, 6.0]) | st.floats(-3, 6.5, width=32)
RUNS = st.lists(  # source, score, RR and how many beats in a row have them
    st.tuples(st.integers(0, SOURCES - 1), SCORES, st.sampled_from([0, 390, 400, 500, 600, 800]), st.integers(1, 8)),
    min_size=1,
    max_size=30,
)
RULES = st.sampled_from(["quiet", "normal", "sensitive"]).map(RunRule.of)


def beats_of(runs):
    return [(source, score, rr) for source, score, rr, length in runs for _ in range(length)]


def in_columns(rule, carry, beats):
    source, score, rr = zip(*beats, strict=True)
    return flag(rule, carry, np.array(source), np.array(score, np.float32), np.array(rr))


@given(RUNS, RULES, st.data())
def test_every_flag_and_what_is_remembered_are_those_of_one_beat_after_the_other(runs, rule, data):
    beats, states = beats_of(runs), [QUIET_RUN] * SOURCES
    cuts = sorted({0, len(beats), *data.draw(st.lists(st.integers(0, len(beats)), max_size=5))})
    carry = RunCarry.empty(SOURCES)
    for start, stop in pairwise(cuts):
        flags, carry = in_columns(rule, carry, beats[start:stop])
        for at, (source, score, rr) in enumerate(beats[start:stop]):
            before = states[source]._replace(is_open=True, priority=0)  # then `priority` is that of the beat
            beat = ScoredBeat(start + at, 0, float(np.float32(score)), rr)
            states[source], _ = after_scored_beat(before, rule, beat)
            state = states[source]
            assert (flags.run[at], flags.priority[at]) == (state.run, state.priority)
    remembered = [(one.second, one.before, one.weak, one.run, one.rr_second, one.rr_before) for one in states]
    assert [(*carry.scores[i], carry.weak[i], carry.run[i], *carry.rr_ms[i]) for i in range(SOURCES)] == remembered


def test_no_beats_change_nothing():
    carry = RunCarry.empty(2)
    none = np.zeros(0, np.int64)
    flags, after = flag(RunRule(), carry, none, none.astype(np.float32), none)
    assert (len(flags.run), len(flags.priority), after) == (0, 0, carry)


def test_a_run_of_any_length_is_counted_without_overflow():
    carry = RunCarry.empty(1)
    carry.run[:], carry.scores[:] = MAX_RUN - 1, 5.0
    flags, after = in_columns(RunRule(), carry, [(0, 5.0, 800)] * 3)
    assert flags.run.tolist() == [MAX_RUN] * 3
    assert after.run.tolist() == [MAX_RUN]


def as_beats(times):
    count = len(times)
    columns = np.array([b"bed"] * count, object), np.array(times, np.int64), np.zeros(count, np.int32)
    return Beats(np.zeros((count, 0), np.float32), *columns, np.arange(count), np.full(count, np.nan, np.float32))


SHORT_RUNS = st.lists(
    st.tuples(SCORES, st.sampled_from([390, 500, 800]), st.integers(1, 8), st.sampled_from([0, 0, 50_000, 130_000])),
    min_size=1,
    max_size=30,
)


@given(SHORT_RUNS)
def test_episodes_of_a_source_with_a_profile_are_those_of_the_rule(runs):
    rule, time, beats = RunRule(), 0, []
    for score, rr, length, gap in runs:
        time += gap
        for _ in range(length):
            time += rr
            beats.append((time, score, rr))
    state, wanted = QUIET_RUN, []
    for offset, (time, score, rr) in enumerate(beats):
        state, event = after_scored_beat(state, rule, ScoredBeat(offset, time, float(np.float32(score)), rr))
        if event is not None:
            counts = state.opened_offset, state.opened_at, state.flagged_beats, state.seen_beats, state.priority
            wanted.append((event, offset, *counts))
    flags, _ = in_columns(rule, RunCarry.empty(1), [(0, score, rr) for _, score, rr in beats])
    none, no_cause = np.zeros(len(beats), np.bool_), np.zeros(len(beats), np.int8)
    columns = BeatFlags(none, no_cause, flags.run, flags.priority, no_cause, no_cause)
    episodes = Episodes(EpisodeRule(3, 5, CLOSE, 10**9, MERGE_MS))
    observed = episodes.observe(as_beats([time for time, _, _ in beats]), columns)
    names = {"updated": "raised"}
    assert wanted == [
        ("reopened" if event.reopened else names.get(event.name, event.name), event.row, *counts)
        for event in observed.events
        for one in [event.episode]
        for counts in [(one.opened_offset, one.opened_at, one.flagged_beats, one.seen_beats, one.priority)]
    ]
