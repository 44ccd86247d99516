"""When memory runs out, batches are halved and at last scored elsewhere, and no beat is left out."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.model.batches import Batches, Explanation, RawScores
from tests import models


class Cramped:
    """Has no memory for more than so many beats at once. A beat's score is its first sample."""

    def __init__(self, capacity):
        self.capacity, self.device = capacity, f"a device for {capacity}"

    def score(self, samples):
        self._take(samples)
        return RawScores(samples[:, 0], samples[:, 1] > 0, samples[:, 2] > 0)

    def explain(self, samples):
        self._take(samples)
        return Explanation(samples, samples)

    def _take(self, samples):
        if len(samples) > self.capacity:
            raise MemoryError(f"no capacity for {len(samples)}")


def cramped(capacity, spare=100):
    """Batches of up to 100 beats, and the list that grows with each one that did not fit."""
    fallbacks = []
    return Batches(Cramped(capacity), lambda: Cramped(spare), 100, lambda: fallbacks.append(1)), fallbacks


@pytest.mark.parametrize(("capacity", "fallbacks"), [(100, 0), (40, 2), (3, 5), (0, 7)])
def test_every_beat_is_scored_when_memory_runs_out(capacity, fallbacks):
    batches, seen = cramped(capacity)
    samples = models.beats(130)
    found = batches.score(samples)
    np.testing.assert_array_equal(found.score, samples[:, 0])
    np.testing.assert_array_equal(found.flat, samples[:, 1] > 0)
    np.testing.assert_array_equal(found.suspect, samples[:, 2] > 0)
    assert len(seen) == fallbacks


def test_what_did_not_fit_is_logged_with_the_size_that_is_tried_next(caplog):
    cramped(50)[0].score(models.beats(100))
    assert caplog.messages == ["no memory on a device for 50 for 100 beats at once: trying 50"]


def test_an_explanation_for_which_there_is_no_memory_is_made_elsewhere():
    batches, seen = cramped(3)
    assert len(batches.explain(models.beats(8)).samples) == 8
    assert len(seen) == 1


def test_a_batch_that_fits_into_no_memory_is_an_error():
    with pytest.raises(MemoryError):
        cramped(0, spare=0)[0].score(models.beats(8))
