"""What profiles say about beats, and that it never depends on how beats are cut into batches."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.profiles import Profiles, SourceBeats
from tests.profiles.beats_of_sources import UNKNOWN, batch, normal, played, source

LEARNED = "N" * 192  # 154 s: more than the 120 s that are the least
COLUMNS = ("score", "qrs_distance", "distance", "prematurity", "noise", "template")


def kinds(notices):
    return [notice.kind for notice in notices]


def test_a_source_learns_for_the_given_time_and_is_scored_from_the_next_beat_on():
    _, scored = played(Profiles(120.0), LEARNED)
    (notice,) = scored.notices
    assert notice.kind == "learned"
    assert np.isnan(scored.score[: notice.beat + 1]).all()
    assert np.isfinite(scored.score[notice.beat + 1 :]).all()
    assert 120 <= 0.8 * notice.beat <= 145


def test_beats_like_those_before_score_low_and_early_wide_beats_high():
    _, scored = played(Profiles(120.0), LEARNED + "NNNVNNNNVVVVNN")
    judged = np.array(list(LEARNED + "NNNVNNNNVVVVNN"))
    later = np.arange(len(judged)) > 170
    assert scored.score[later & (judged == "N")].max() < 0
    assert scored.score[later & (judged == "V")].min() > 3


def test_a_beat_that_was_found_late_or_is_higher_than_usual_still_fits():
    profiles = Profiles(120.0)
    row, _ = played(profiles, LEARNED)
    samples = np.stack([normal(0.035), normal(-0.035), normal(height=1.4), normal(height=0.7)]).astype(np.float32)
    times = 200_000 + 800 * np.arange(4, dtype=np.int64)
    scored = profiles.observe(batch(profiles, np.full(4, row), samples, times))
    assert scored.score.max() < 1


def test_two_kinds_of_beats_in_the_usual_time_are_two_templates():
    profiles = Profiles(120.0)
    row, scored = played(profiles, "NNNNNNNB" * 30)
    assert kinds(scored.notices) == ["learned"]
    assert len(profiles.summary(row).typical) == 2
    assert np.nanmax(scored.score) < 1.4


def test_frequent_early_beats_while_it_learns_are_no_template_and_are_said():
    profiles = Profiles(120.0)
    row, scored = played(profiles, "NNNV" * 60)
    assert kinds(scored.notices) == ["sick-while-learning"]
    assert (len(profiles.summary(row).typical), profiles.summary(row).is_sick) == (1, True)
    assert profiles.summary(row).kept == pytest.approx(0.75, abs=0.1)


def test_noise_alone_is_not_learned_and_learning_begins_again():
    profiles = Profiles(120.0)
    row = int(profiles.add()[0])
    samples = np.random.default_rng(0).standard_normal((192, 140)).astype(np.float32)
    times = 800 * np.arange(192, dtype=np.int64)
    scored = profiles.observe(batch(profiles, np.full(192, row), samples, times))
    assert kinds(scored.notices) == ["not-learned"]
    assert not profiles.summary(row).is_learned


def test_a_slow_change_is_followed():
    profiles = Profiles(120.0)
    row, _ = played(profiles, LEARNED)
    samples, times = source("N" * 2400, seed=1)
    grown = samples * np.linspace(1, 2.5, len(samples), dtype=np.float32)[:, None]
    scored = profiles.observe(batch(profiles, np.full(len(times), row), grown, 200_000 + times))
    assert scored.score.max() < 1


def test_changed_conduction_becomes_a_template_after_two_minutes():
    profiles = Profiles(120.0)
    row, scored = played(profiles, LEARNED + "B" * 240)
    assert kinds(scored.notices) == ["learned", "changed-conduction"]
    changed = scored.notices[1].beat
    assert changed > 192 + 120 / 0.8
    assert scored.score[200 : changed + 1].min() > 1.4
    assert scored.score[changed + 1 :].max() < 1.4
    assert len(profiles.summary(row).typical) == 2


def test_a_long_run_of_early_wide_beats_never_becomes_a_template():
    _, scored = played(Profiles(120.0), LEARNED + "V" * 400)
    assert kinds(scored.notices) == ["learned"]
    assert scored.score[200:].min() > 2.6


def test_a_noisy_lead_scores_lower_when_the_noise_is_known():
    scores = []
    for noise in (-4.0, -2.0):
        profiles = Profiles(120.0)
        row = int(profiles.add()[0])
        samples, times = source(LEARNED + "VVV")
        between = np.full(len(times), -4, np.float32)
        between[-3:] = noise
        scored = profiles.observe(batch(profiles, np.full(len(times), row), samples, times, between))
        scores.append(scored.score[-3:])
    assert scores[0] - scores[1] == pytest.approx(0.5 * (2 - 0.3), abs=1e-3)


def test_rr_come_from_the_times_of_a_source_and_a_gap_is_none():
    profiles = Profiles()
    first, second = profiles.add(2).tolist()
    profiles.observe(batch(profiles, [first], normal()[None].astype(np.float32), np.array([1000])))
    rr = profiles.intervals(np.array([first, second, first, first]), np.array([1800, 1900, 2500, 9000]))
    assert rr == pytest.approx([0.8, np.nan, 0.7, np.nan], nan_ok=True)


def test_a_removed_row_is_given_to_another_source_without_what_was_known():
    profiles = Profiles(120.0)
    row, _ = played(profiles, LEARNED)
    profiles.remove(np.array([row]))
    assert len(profiles) == 0
    (again,) = profiles.add().tolist()
    assert (again, profiles.summary(again).beats, profiles.summary(again).is_learned) == (row, 0, False)


@pytest.mark.parametrize("seconds", [0.0, 119.9, 1e9, float("nan")])
def test_a_learning_time_that_is_too_short_or_too_long_is_refused(seconds):
    with pytest.raises(ValueError, match="of learning, where 120 to 86400 are possible"):
        Profiles(seconds)


@cache
def stream():
    """Beats of four sources with everything that can happen, in the order of their times: source, samples, times."""
    random = np.random.default_rng(7)
    parts = [
        source("".join(random.choice(list("NNNNNNNV"), 500)), seed=1),
        source("NNNNNNNB" * 30 + "N" * 200, seed=2),
        source(LEARNED + "B" * 250 + "VVVV" + "N" * 50, seed=3),
        source("NV" * 220, seed=4),
    ]
    owner = np.concatenate([np.full(len(times), number) for number, (_, times) in enumerate(parts)])
    samples, times = (np.concatenate([part[one] for part in parts]) for one in (0, 1))
    order = np.argsort(times, kind="stable")
    between = random.normal(-4, 0.3, len(owner)).astype(np.float32)
    between[random.random(len(owner)) < 0.3] = UNKNOWN
    return owner[order], samples[order], times[order], between


def observed(sizes, restore_every=10**9):
    """Everything that comes out when the stream is cut into batches of these sizes, and the states at the end."""
    owner, samples, times, between = stream()
    profiles = Profiles(120.0)
    rows = profiles.add(4)
    out, notices, start = [], [], 0
    while start < len(owner):
        for size in sizes:
            some = slice(start, start + size)
            if start >= len(owner):
                break
            row = rows[owner[some]]
            rr = profiles.intervals(row, times[some])
            scored = profiles.observe(SourceBeats(row, samples[some], times[some], rr, between[some]))
            out.append([getattr(scored, name) for name in COLUMNS])
            place = {int(row): number for number, row in enumerate(rows)}
            notices += [(one.kind, place[one.row], start + one.beat) for one in scored.notices]
            start += size
            if len(out) % restore_every == 0:
                states = profiles.encode(rows)
                profiles = Profiles(120.0)
                rows = profiles.restore(states).rows
    columns = [np.concatenate(column).tobytes() for column in zip(*out, strict=True)]
    return columns, notices, profiles.encode(rows)


@cache
def at_once():
    return observed([10**6])


def test_the_stream_has_everything_that_can_happen():
    assert {notice[0] for notice in at_once()[1]} >= {"learned", "sick-while-learning", "changed-conduction"}


@settings(max_examples=12, deadline=None)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_results_and_states_are_the_same_however_beats_are_cut_into_batches(sizes):
    sizes = [*sizes, 40]
    assert observed(sizes) == at_once()


def test_results_are_the_same_beat_by_beat():
    assert observed([1]) == at_once()


@settings(max_examples=6, deadline=None)
@given(size=st.integers(5, 200), restore_every=st.integers(1, 5))
def test_a_restored_profile_goes_on_bit_for_bit(size, restore_every):
    assert observed([size], restore_every) == at_once()
