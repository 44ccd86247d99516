"""Convolutional networks are scored with torch as the definition says, and a device without memory says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monitor.model.manifest import Detector, ScoreConfig
from monitor.model.network import NetworkConfig
from monitor.model.scorer import Scorer
from monitor.model.tensors.arithmetic import CHUNK_BEATS, TensorArithmetic
from monitor.model.tensors.network import build, rebuild, stored
from monitor.model.tensors.normalise import normalise
from tests import models

CONV = NetworkConfig("conv", (70, 8, 4))


def convolutional(*, projected):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = stored(CONV, build(CONV))
    projection = models.beats(70, 4)[:, :70] if projected else None
    return Detector(network, ScoreConfig(2, 14, projected, prototypes=5), projection, models.beats(5, 6)[:, :70] / 5)


@pytest.mark.parametrize("projected", [True, False])
def test_a_convolutional_network_scores_two_residuals(projected):
    detector, samples = convolutional(projected=projected), models.beats(30)
    with torch.inference_mode():
        shapes = normalise(torch.from_numpy(samples), 2).pooled
        seen, made = shapes.double().numpy(), rebuild(detector.network)(shapes).double().numpy()
    matrix = detector.projection if projected else np.eye(70)
    away = (seen[:, None] - detector.prototypes) @ matrix
    nearest = away[np.arange(30), np.square(away).sum(axis=2).argmin(axis=1)]
    expected = np.sqrt(largest((seen - made) @ matrix) * largest(nearest))
    assert Scorer(detector, "cpu", 8).score(samples).score == pytest.approx(expected)


def largest(residual):
    """The largest mean square over 14 samples in a row."""
    return np.lib.stride_tricks.sliding_window_view(residual**2, 14, axis=1).mean(axis=2).max(axis=1)


def test_beats_after_the_first_chunk_are_scored_like_those_in_it():
    arithmetic, samples = TensorArithmetic(convolutional(projected=True), "cpu"), models.beats(CHUNK_BEATS + 3)
    assert arithmetic.score(samples).score[-3:] == pytest.approx(arithmetic.score(samples[-3:]).score)


def test_torchs_error_for_a_full_gpu_becomes_pythons(monkeypatch):
    def full(*_args):
        raise torch.OutOfMemoryError("planted")

    arithmetic = TensorArithmetic(convolutional(projected=False), "cpu")
    monkeypatch.setattr(torch, "from_numpy", full)
    with pytest.raises(MemoryError, match="planted"):
        arithmetic.score(models.beats(2))
    with pytest.raises(MemoryError, match="planted"):
        arithmetic.explain(models.beats(2))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_scores_of_the_cpu():
    samples = models.beats(3000)
    on_cpu, on_gpu = (Scorer(models.model(typical=3), device, 1024).score(samples) for device in ("cpu", "cuda"))
    assert on_gpu.score == pytest.approx(on_cpu.score, rel=1e-3)
    assert (on_gpu.cause == on_cpu.cause).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_memory_is_reported_at_every_call():
    scorer = Scorer(models.model(), "cuda", 1024)
    scorer.score(models.beats(3000))
    used = {kind: ask() for kind, ask in scorer.memory().items()}
    assert 0 < used["allocated"] <= used["reserved"] <= used["total"]
