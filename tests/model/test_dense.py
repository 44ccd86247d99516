"""Scores with NumPy are those of the definition in float64 and those of torch, whatever the network and the beats."""

from __future__ import annotations

import sys
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from monitor.model import dense, normalise
from monitor.model.dense import DenseArithmetic
from monitor.model.manifest import Detector, ScoreConfig
from monitor.model.network import Network, NetworkConfig
from monitor.model.tensors.arithmetic import TensorArithmetic
from tests import models

KINDS = [("plain", (16,), 1), ("plain", (5,), 3), ("stacked", (32, 16, 8), 1), ("stacked", (9, 4), 4)]


@st.composite
def detectors(draw):
    """A detector with random weights, of any kind that is computed with NumPy."""
    (kind, inner, members), pool = draw(st.sampled_from(KINDS)), draw(st.sampled_from([1, 2]))
    m, typical = 140 // pool, draw(st.sampled_from([0, 1, 4]))
    score = ScoreConfig(pool, draw(st.integers(1, m)), draw(st.booleans()), prototypes=typical)
    return random_detector(NetworkConfig(kind, (m, *inner), members), score, draw(st.integers(0, 999)))


def random_detector(config, score, seed):
    random = np.random.default_rng(seed)

    def normal(*shape):
        return random.normal(scale=shape[-1] ** -0.5, size=shape).astype(np.float32)

    weights = {name: normal(*shape) for name, shape in config.shapes.items()}
    projection = normal(score.inputs, score.inputs) if score.projected else None
    prototypes = random.normal(size=(score.prototypes, score.inputs)).astype(np.float32) if score.prototypes else None
    return Detector(Network(config, weights), score, projection, prototypes)


def hostile_beats(seed, magnitude):
    """Beats in a tiny or huge unit: as they are, on an offset, with a spike, flat, clipped, hardly moving."""
    samples = models.beats(24, seed).astype(np.float64)
    samples[4:8] += 1000
    samples[8:12, 70] += 300
    samples[12] = 3
    samples[13, 40:80] = samples[13].max() + 1
    samples[14:16] = 1000 + np.sign(samples[14:16]) * 0.001
    return (samples * 10.0**magnitude).astype(np.float32)


def expected(detector, samples):
    """The scores (n,) by the words of `ScoreConfig`, in float64."""
    beats = samples.astype(np.float64).reshape(len(samples), -1, detector.score.pool).mean(axis=2)
    seen = (beats - beats.mean(axis=1, keepdims=True)) / beats.std(axis=1, keepdims=True)
    matrix = np.eye(seen.shape[1]) if detector.projection is None else detector.projection.astype(np.float64)
    scores = largest((seen - reconstructed(detector.network, seen)) @ matrix, detector.score.window)
    if detector.prototypes is None:
        return scores
    away = (seen[:, None] - detector.prototypes) @ matrix
    nearest = away[np.arange(len(away)), np.square(away).sum(axis=2).argmin(axis=1)]
    return np.sqrt(scores * largest(nearest, detector.score.window))


def reconstructed(network, seen):
    """The mean of what the members make of beats (n, m), in float64."""
    made = np.broadcast_to(seen, (network.config.members, *seen.shape))
    last = len(network.config.mirrored) - 2
    for layer in range(last + 1):
        weight, bias = (network.weights[f"{2 * layer}.{name}"].astype(np.float64) for name in ("weight", "bias"))
        made = made @ np.swapaxes(weight.reshape(len(made), *weight.shape[-2:]), 1, 2) + bias.reshape(len(made), 1, -1)
        made = made if layer == last else np.maximum(made, 0)
    return made.mean(axis=0)


def largest(residual, window):
    return np.lib.stride_tricks.sliding_window_view(residual**2, window, axis=1).mean(axis=2).max(axis=1)


@settings(max_examples=150)
@given(detectors(), st.integers(0, 999), st.integers(-30, 6))
def test_a_score_is_what_the_definition_gives_and_what_torch_gives(detector, seed, magnitude):
    samples = hostile_beats(seed, magnitude)
    mine, torchs = DenseArithmetic(detector).score(samples), TensorArithmetic(detector, "cpu").score(samples)
    assert mine.flat.tolist() == torchs.flat.tolist()
    assert mine.suspect.tolist() == torchs.suspect.tolist()
    usable = ~mine.flat
    assert mine.score[usable] == pytest.approx(expected(detector, samples[usable]), rel=1e-5)
    assert mine.score[usable] == pytest.approx(torchs.score[usable], rel=2e-5)


@settings(max_examples=40)
@given(detectors(), st.integers(0, 999))
def test_an_explanation_is_that_of_torch(detector, seed):
    samples = models.beats(5, seed)
    mine, torchs = DenseArithmetic(detector).explain(samples), TensorArithmetic(detector, "cpu").explain(samples)
    assert mine.samples == pytest.approx(torchs.samples, abs=1e-5)
    assert mine.reconstruction == pytest.approx(torchs.reconstruction, abs=1e-5)


USUAL = random_detector(NetworkConfig("stacked", (70, 64, 32, 16)), ScoreConfig(window=14, prototypes=4), 0)


def test_beats_after_the_first_chunk_are_scored_like_those_in_it():
    samples = models.beats(2 * dense.CHUNK_BEATS + 7)
    found = DenseArithmetic(USUAL).score(samples)
    assert found.score == pytest.approx(expected(USUAL, samples), rel=1e-5)
    assert not found.flat.any()


def test_threads_that_score_at_the_same_time_do_not_disturb_each_other():
    arithmetic, parts = DenseArithmetic(USUAL), [models.beats(3000, seed) for seed in range(4)]
    found = [np.empty(0)] * len(parts)

    def work(number):
        found[number] = arithmetic.score(parts[number]).score

    threads = [threading.Thread(target=work, args=[number]) for number in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for samples, scores in zip(parts, found, strict=True):
        np.testing.assert_array_equal(scores, arithmetic.score(samples).score)


def test_a_chunk_takes_the_same_statements_whatever_its_size():
    def statements(count):
        seen = []

        def trace(frame, event, _):
            if frame.f_code.co_filename in {dense.__file__, normalise.__file__}:
                seen.append((event, frame.f_lineno))
            return trace

        samples, before = models.beats(count), sys.gettrace()
        sys.settrace(trace)
        try:
            arithmetic.score(samples)
        finally:
            sys.settrace(before)
        return seen

    arithmetic = DenseArithmetic(USUAL)
    assert statements(dense.CHUNK_BEATS) == statements(10)
    assert len(statements(10)) > 50


def test_matrix_products_are_held_to_one_thread():
    with threadpool_limits(2, user_api="blas"):  # puts back what it found
        DenseArithmetic(USUAL).use_one_thread()
        assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"} == {1}


def test_a_network_as_wide_as_a_file_may_ask_for_takes_bounded_memory():
    arithmetic = DenseArithmetic(
        random_detector(NetworkConfig("stacked", (70, 1024, 1, 1024, 1), members=16), ScoreConfig(), 0)
    )
    samples = models.beats(200)
    tracemalloc.start()
    arithmetic.score(samples)
    assert tracemalloc.get_traced_memory()[1] < 5 * dense.CHUNK_FLOATS
    tracemalloc.stop()
