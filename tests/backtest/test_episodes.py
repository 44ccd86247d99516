"""Episodes are those of the monitor's rule, however the beats come in."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.rule import AFTER_RUN, FREQUENT, BeatFlags, EpisodeRule
from monitor.backtest import EpisodePlayer, OpenStretch
from monitor.backtest.episodes import ectopy_alone
from monitor.beats.beat import Beats

RULE = EpisodeRule(3, 5, 5, 60_000, 120_000)


def beats(count, first=0):
    """Beats a second apart, from this one on."""
    number = np.arange(first, first + count, dtype=np.int64)
    columns = np.full(count, b"one", np.object_), 1000 * number, np.zeros(count, np.int32), number
    return Beats(np.zeros((count, 0), np.float32), *columns, np.full(count, np.nan, np.float32))


def flags(text):
    """What beats count for: `0`, `1` or `2` flagged by a run with this priority, `e` and `r` frequent ectopy."""
    none = BeatFlags.of_population(np.zeros(len(text), np.bool_), np.zeros(len(text), np.int8))
    return replace(
        none,
        run=np.array([3 * (one in "012") for one in text], np.int32),
        priority=np.array(["012".find(one) for one in text], np.int8).clip(0),
        frequent=np.array([{"e": FREQUENT, "r": AFTER_RUN}.get(one, 0) for one in text], np.int8),
    )


def played(given_flags):
    player = EpisodePlayer(RULE)
    events = player.feed(beats(len(given_flags.run)), given_flags)
    return [(one.name, one.row) for one in events], player.episodes()


def test_episodes_are_those_of_the_rule():
    events, (found,) = played(flags(".......0" + "." * 24 + "01......"))
    assert [(one.start, one.end) for one in found.stretches] == [(7, 12), (32, 38)]
    assert (found.flagged_beats, found.priority, found.open_seconds) == (5, "medium", 11)
    assert events == [("opened", 7), ("closed", 12), ("opened", 32), ("updated", 33), ("closed", 38)]


def test_an_open_episode_ends_with_the_recording():
    _, (found,) = played(flags("." * 11 + "00"))
    assert (found.stretches, found.priority) == ((OpenStretch(11.0, 12.0),), "low")


def test_runs_and_frequent_ectopy_are_told_apart():
    whole = flags("..eee2rrrrree........")
    _, (run,) = played(whole.without_ectopy())
    _, (ectopy,) = played(ectopy_alone(whole))
    assert (run.stretches, run.priority) == ((OpenStretch(5.0, 10.0),), "high")
    assert (ectopy.stretches, ectopy.priority) == ((OpenStretch(2.0, 9.0), OpenStretch(11.0, 17.0)), "low")


def test_without_beats_there_is_no_episode():
    assert played(flags("")) == ([], ())


@given(st.text("..012er", max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_the_pieces_in_which_beats_come_change_nothing(text, cuts):
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    player = EpisodePlayer(RULE)
    for start, end in pairwise(places):
        player.feed(beats(end - start, start), flags(text[start:end]))
    assert player.episodes() == played(flags(text))[1]
