"""A score is the reconstruction error that the model defines, or there is none and the cause says why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.model.manifest import Detector, ScoreConfig
from monitor.model.network import Network
from monitor.model.scorer import CAUSES, Scorer
from tests import models


def scored(samples, detector=None, batch_size=2048):
    return Scorer(detector or models.detector(), "cpu", batch_size).score(np.asarray(samples, np.float32))


def causes(samples):
    return ["" if code == 0 else CAUSES[code - 1] for code in scored(samples).cause]


def clipped_at(start, length, edge):
    """A beat that stays at its top (or bottom) for so many samples."""
    beat = np.sin(np.arange(140.0)).astype(np.float32)
    beat[start : start + length] = edge
    return beat


def test_a_beat_that_is_not_reconstructed_at_all_scores_its_own_power():
    assert scored(models.beats(9)).score == pytest.approx(np.ones(9), rel=1e-5)


def test_a_beat_that_is_reconstructed_exactly_scores_zero():
    assert scored(models.beats(3), Detector(models.everything(140), models.PLAIN, None)).score.tolist() == [0, 0, 0]


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("window", [1, 10, 70])
def test_the_score_is_the_largest_mean_square_of_any_window(pool, window):
    samples = models.beats(6).astype(np.float64)
    pooled = samples.reshape(6, -1, pool).mean(axis=2)
    shapes = (pooled - pooled.mean(1, keepdims=True)) / pooled.std(1, keepdims=True)
    expected = np.lib.stride_tricks.sliding_window_view(shapes**2, window, axis=1).mean(axis=2).max(axis=1)
    found = scored(samples, models.detector(ScoreConfig(pool, window, projected=False))).score
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_projection_is_applied_to_the_residual():
    score = ScoreConfig(1, 140, projected=True)
    tripled = models.detector(score, 3 * np.eye(140, dtype=np.float32))
    assert scored(models.beats(4), tripled).score == pytest.approx(9 * np.ones(4), rel=1e-5)


def test_a_typical_beat_that_comes_twice_counts_once():
    once, config = models.beats(1, 6)[:, :70], ScoreConfig(2, 14, projected=False)
    scores = [
        scored(models.beats(9), Detector(models.nothing(70), config, None, typical)).score
        for typical in (once, np.repeat(once, 3, axis=0))
    ]
    assert scores[1] == pytest.approx(scores[0])


MODEL = models.model()


@given(st.floats(-12, 8), st.floats(-1, 1), st.integers(0, 50))
def test_neither_unit_nor_offset_changes_a_score(magnitude, offset, seed):
    samples = models.beats(1, seed)
    unit = 10**magnitude / np.abs(samples).max()
    moved = (samples.astype(np.float64) * unit + offset * 10**magnitude).astype(np.float32)
    assert scored(moved, MODEL).score == pytest.approx(scored(samples, MODEL).score, rel=1e-3)


def test_a_small_beat_on_a_large_offset_keeps_its_score():
    samples = models.beats(20)
    moved = samples * 100 + np.float32(1e6)
    model = models.model()
    assert scored(moved, model).score == pytest.approx(scored(samples, model).score, rel=0.02)


@pytest.mark.parametrize("level", [0, 1e-30, -3.5, 1e9])
def test_a_flat_beat_is_never_scored(level):
    flat = np.full((1, 140), level, np.float32)
    assert causes(flat) == ["flat-line"]
    assert np.isnan(scored(flat).score).all()


def test_a_beat_that_only_flickers_in_its_last_bit_is_flat():
    flicker = np.full(140, 1000, np.float32)
    flicker[::7] = np.nextafter(np.float32(1000), np.float32(2000))
    assert causes([flicker]) == ["flat-line"]


def test_a_tiny_beat_is_not_flat():
    assert causes(models.beats(1) * np.float32(1e-6)) == [""]


@given(st.integers(0, 112), st.integers(28, 100), st.sampled_from([-2, 2]))
def test_a_clipped_beat_is_never_scored(start, length, edge):
    beat = clipped_at(start, min(length, 140 - start), edge)
    assert causes([beat]) == ["saturated"]
    assert np.isnan(scored([beat]).score).all()


@given(st.integers(0, 113), st.integers(1, 27), st.sampled_from([-2, 2]))
def test_a_beat_that_touches_its_edge_more_briefly_is_scored(start, length, edge):
    assert causes([clipped_at(start, length, edge)]) == [""]


@given(st.lists(st.integers(0, 139), min_size=28, max_size=100, unique=True))
def test_separate_samples_at_the_edge_are_not_clipping(places):
    beat = np.sin(np.arange(140.0)).astype(np.float32)
    beat[places] = 2
    at_top = "".join("x" if value == 2 else " " for value in beat)
    assume(max(map(len, at_top.split())) < 28)
    assert causes([beat]) == [""]


def test_a_score_that_is_not_finite_counts_as_missing():
    config = models.everything(140).config
    huge = Network(config, {name: np.full(shape, 3e38, np.float32) for name, shape in config.shapes.items()})
    found = scored(models.beats(2), Detector(huge, models.PLAIN, None))
    assert found.cause.tolist() == [3, 3]
    assert np.isnan(found.score).all()


def test_a_beat_without_a_score_does_not_affect_the_others():
    samples = models.beats(5)
    alone = scored(samples, models.model()).score
    samples[1], samples[3] = 0, clipped_at(3, 60, 9)
    together = scored(samples, models.model())
    assert together.cause.tolist() == [0, 1, 0, 2, 0]
    assert together.score[[0, 2, 4]] == pytest.approx(alone[[0, 2, 4]])


def test_an_empty_batch_has_no_scores():
    found = scored(np.empty((0, 140)))
    assert (found.score.shape, found.cause.shape) == ((0,), (0,))
    assert (found.score.dtype, found.cause.dtype) == (np.float32, np.int8)


@pytest.mark.parametrize("batch_size", [1, 7, 50, 1000])
def test_the_size_of_the_batches_changes_no_score(batch_size):
    samples = models.beats(50)
    whole = scored(samples, models.model()).score
    assert scored(samples, models.model(), batch_size).score == pytest.approx(whole, rel=1e-5)


def test_samples_that_may_not_be_written_to_are_read():
    samples = models.beats(3)
    samples.flags.writeable = False
    assert not np.isnan(scored(samples).score).any()


def test_an_explanation_shows_the_beat_and_its_reconstruction_in_the_same_units():
    samples = models.beats(3)
    found = Scorer(Detector(models.everything(70), ScoreConfig(2, 10, projected=False), None), "cpu", 8).explain(
        samples
    )
    assert found.samples.shape == found.reconstruction.shape == (3, 140)
    pairs = found.samples.reshape(3, 70, 2).mean(axis=2)
    assert pairs.mean(axis=1) == pytest.approx(np.zeros(3), abs=1e-5)
    assert pairs.std(axis=1) == pytest.approx(np.ones(3), rel=1e-5)
    # an identical reconstruction, pooled and drawn out again, runs through the middle of each pair
    assert np.abs(found.reconstruction - found.samples).mean() < 0.2


def test_an_explanation_without_pooling_is_exact():
    found = Scorer(Detector(models.everything(140), models.PLAIN, None), "cpu", 8).explain(models.beats(3))
    assert found.reconstruction == pytest.approx(found.samples, abs=1e-6)


def test_nothing_to_explain_gives_nothing():
    assert Scorer(models.model(), "cpu", 8).explain(np.empty((0, 140), np.float32)).samples.shape == (0, 140)


def test_a_cpu_has_no_memory_of_a_gpu():
    assert Scorer(models.model(), "cpu", 8).memory() == {}
