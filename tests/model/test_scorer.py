"""A score is the reconstruction error that the model defines, or there is none and the cause says why."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from monitor.model import scorer
from monitor.model.manifest import Detector, ScoreConfig
from monitor.model.network import NetworkConfig, build
from monitor.model.normalise import normalise
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
    assert scored(models.beats(3), Detector(nn.Identity(), models.PLAIN, None)).score.tolist() == [0, 0, 0]


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


NETWORKS = [
    NetworkConfig("plain", (70, 16)),
    NetworkConfig("stacked", (70, 32, 16, 8)),
    NetworkConfig("stacked", (70, 64, 32, 16), members=3),
    NetworkConfig("conv", (70, 4, 8)),
]


@pytest.mark.parametrize("config", NETWORKS)
@pytest.mark.parametrize("projected", [False, True])
def test_scores_are_the_same_to_the_last_bit_where_torch_records_nothing(config, projected, monkeypatch, caplog):
    projection = models.beats(70, 4)[:, :70] if projected else None
    prototypes = models.beats(6, 3)[:, :70] if projected else None
    detector = Detector(build(config), ScoreConfig(2, 14, projected, prototypes=6), projection, prototypes)
    odd = [np.zeros(140), np.full(140, np.nan), clipped_at(20, 40, 1.0), np.full(140, 3e38) * [*[1, -1] * 70]]
    samples = np.concatenate([models.beats(40), np.array(odd, np.float32)])

    def refuse(*_args, **_options):
        raise RuntimeError("not on this machine")

    recorded = Scorer(detector, "cpu", 2048)
    monkeypatch.setattr(torch.jit, "trace", refuse)
    with caplog.at_level("INFO"):
        plain = Scorer(detector, "cpu", 2048)
    assert "step by step" in caplog.text
    for count in (len(samples), 1, 0, 7):
        mine, other = recorded.score(samples[:count]), plain.score(samples[:count])
        assert mine.score.tobytes() == other.score.tobytes()
        assert mine.cause.tolist() == other.cause.tolist()
    assert {"flat-line", "saturated"} <= {CAUSES[code - 1] for code in recorded.score(samples).cause if code}


@pytest.mark.parametrize("config", NETWORKS)
def test_every_network_scores_its_projected_residual(config):
    torch.manual_seed(0)  # the network below has random weights
    detector = Detector(build(config), ScoreConfig(2, 14), models.beats(70, 4)[:, :70])
    seen, made = seen_and_made(detector, models.beats(30))
    assert scored(models.beats(30), detector).score == pytest.approx(largest((seen - made) @ detector.projection))


@pytest.mark.parametrize("kind", ["stacked", "conv"])
@pytest.mark.parametrize("projected", [True, False])
def test_typical_beats_make_it_the_geometric_mean_of_two_residuals(kind, projected):
    projection = models.beats(70, 4)[:, :70] if projected else None
    network = build(NetworkConfig(kind, (70, 8, 4)))
    typical = Detector(network, ScoreConfig(2, 14, projected, prototypes=5), projection, models.beats(5, 6)[:, :70] / 5)
    seen, made = seen_and_made(typical, models.beats(30))
    matrix = projection if projected else np.eye(70)
    away = (seen[:, None] - typical.prototypes) @ matrix
    nearest = away[np.arange(30), np.square(away).sum(axis=2).argmin(axis=1)]
    expected = np.sqrt(largest((seen - made) @ matrix) * largest(nearest))
    assert scored(models.beats(30), typical).score == pytest.approx(expected)


def test_a_typical_beat_that_comes_twice_counts_once():
    once = models.beats(1, 6)[:, :70]
    scores = [
        scored(models.beats(9), Detector(models.Nothing(), ScoreConfig(2, 14, projected=False), None, typical)).score
        for typical in (once, np.repeat(once, 3, axis=0))
    ]
    assert scores[1] == pytest.approx(scores[0])


def seen_and_made(detector, samples):
    """Normalised beats, and what a new network with random weights makes of them."""
    for weight in detector.network.parameters():
        nn.init.normal_(weight, std=0.2)
    seen = normalise(torch.from_numpy(samples), 2).pooled
    with torch.inference_mode():
        return seen.double().numpy(), detector.network(seen).double().numpy()


def largest(residual):
    """The largest mean square over 14 samples in a row."""
    return np.lib.stride_tricks.sliding_window_view(residual**2, 14, axis=1).mean(axis=2).max(axis=1)


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
    class Broken(nn.Module):
        def forward(self, beats: torch.Tensor) -> torch.Tensor:
            return beats * torch.inf

    found = scored(models.beats(2), Detector(Broken(), models.PLAIN, None))
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


def test_a_batch_takes_the_same_statements_whatever_its_size():
    def statements(count):
        seen = []

        def trace(frame, event, _):
            if frame.f_code.co_filename == scorer.__file__:
                seen.append((event, frame.f_lineno))
            return trace

        tested, samples = Scorer(models.model(), "cpu", 2048), np.tile(models.beats(10), (count // 10, 1))
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            tested.score(samples)
        finally:
            sys.settrace(before)
        return seen

    few = statements(10)
    assert len(few) > 20
    assert statements(2000) == few


class Cramped(nn.Module):
    """Runs out of memory above so many beats; a copy of it has `elsewhere` as its capacity."""

    def __init__(self, capacity: int, elsewhere: int) -> None:
        super().__init__()
        self.capacity, self.elsewhere = capacity, elsewhere

    def __deepcopy__(self, memo: object) -> Cramped:
        copied = Cramped(self.capacity, self.elsewhere)
        self.capacity = self.elsewhere  # what is copied next is for the CPU
        return copied

    def forward(self, beats: torch.Tensor) -> torch.Tensor:
        if len(beats) > self.capacity:
            raise torch.OutOfMemoryError(f"no capacity for {len(beats)}")
        return torch.zeros_like(beats)


@pytest.mark.parametrize(("capacity", "fallbacks"), [(100, 0), (40, 2), (3, 5), (0, 7)])
def test_every_beat_is_scored_when_memory_runs_out(capacity, fallbacks):
    seen = []
    detector = Detector(Cramped(capacity, elsewhere=100), models.PLAIN, None)
    found = Scorer(detector, "cpu", 100, lambda: seen.append(1)).score(models.beats(100))
    assert found.score == pytest.approx(np.ones(100), rel=1e-5)
    assert len(seen) == fallbacks


def test_an_explanation_for_which_there_is_no_memory_is_made_on_the_cpu():
    seen = []
    scorer = Scorer(Detector(Cramped(3, elsewhere=100), models.PLAIN, None), "cpu", 100, lambda: seen.append(1))
    assert scorer.explain(models.beats(8)).reconstruction.tolist() == [[0.0] * 140] * 8
    assert len(seen) == 1


def test_a_batch_that_fits_into_no_memory_is_an_error():
    nowhere = Scorer(Detector(Cramped(0, elsewhere=0), models.PLAIN, None), "cpu", 8)
    with pytest.raises(MemoryError):
        nowhere.score(models.beats(8))


def test_an_explanation_shows_the_beat_and_its_reconstruction_in_the_same_units():
    samples = models.beats(3)
    found = Scorer(Detector(nn.Identity(), ScoreConfig(2, 10, projected=False), None), "cpu", 8).explain(samples)
    assert found.samples.shape == found.reconstruction.shape == (3, 140)
    pairs = found.samples.reshape(3, 70, 2).mean(axis=2)
    assert pairs.mean(axis=1) == pytest.approx(np.zeros(3), abs=1e-5)
    assert pairs.std(axis=1) == pytest.approx(np.ones(3), rel=1e-5)
    # an identical reconstruction, pooled and drawn out again, runs through the middle of each pair
    assert np.abs(found.reconstruction - found.samples).mean() < 0.2


def test_an_explanation_without_pooling_is_exact():
    found = Scorer(Detector(nn.Identity(), models.PLAIN, None), "cpu", 8).explain(models.beats(3))
    assert found.reconstruction == pytest.approx(found.samples, abs=1e-6)


def test_nothing_to_explain_gives_nothing():
    assert Scorer(models.model(), "cpu", 8).explain(np.empty((0, 140), np.float32)).samples.shape == (0, 140)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_scores_of_the_cpu():
    samples = models.beats(3000)
    on_cpu, on_gpu = (Scorer(models.model(), device, 1024).score(samples) for device in ("cpu", "cuda"))
    assert on_gpu.score == pytest.approx(on_cpu.score, rel=1e-3)
    assert (on_gpu.cause == on_cpu.cause).all()


def test_a_cpu_has_no_memory_of_a_gpu():
    assert Scorer(models.model(), "cpu", 8).memory() == {}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_memory_is_reported_at_every_call():
    scorer = Scorer(models.model(), "cuda", 1024)
    scorer.score(models.beats(3000))
    used = {kind: ask() for kind, ask in scorer.memory().items()}
    assert 0 < used["allocated"] <= used["reserved"] <= used["total"]
