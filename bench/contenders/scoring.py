"""The model alone, without Kafka: an upper bound for every system. The best of several batch sizes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.model import artifact
from monitor.model.scorer import Scorer

if TYPE_CHECKING:
    from bench.case import Case, Meter

SIZES = (256, 512, 1024, 2048, 4096, 8192)


def judge(case: Case, meter: Meter) -> None:
    scorer = Scorer(artifact.load(Path(case.model), "cpu"), "cpu", max(SIZES))
    scorer.use_one_thread()
    samples = np.random.default_rng(0).standard_normal((max(SIZES), SAMPLES)).astype(np.float32)
    best = min(SIZES, key=lambda size: _seconds_a_beat(scorer, samples[:size]))
    while True:
        scorer.score(samples[:best])
        meter.note(best, 0)


def _seconds_a_beat(scorer: Scorer, samples: np.ndarray) -> float:
    scorer.score(samples)
    rounds = 4 * max(SIZES) // len(samples)
    began = time.perf_counter()
    for _ in range(rounds):
        scorer.score(samples)
    return (time.perf_counter() - began) / (rounds * len(samples))
