"""The settings of a training."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import RefusedError
from trainer.fitting import recipe
from trainer.fitting.recipe import Recipe


@pytest.mark.parametrize(("beats", "steps"), [(30, 6000), (292, 6000), (5000, 6000), (500_000, 31_250)])
def test_epochs_follow_from_the_number_of_beats(beats, steps):
    made = Recipe().epochs_for(beats) * Recipe().batches(beats)
    assert steps <= made < steps + Recipe().batches(beats)


@pytest.mark.parametrize("noise", ["gaussian", "gaussian:x", "gaussian:-1", "gaussian:nan", "dropout:1", "salt:1", ""])
def test_invalid_noise_is_refused(noise):
    with pytest.raises(RefusedError, match=r"write none, gaussian:S"):
        recipe.chosen("stacked", noise, epochs=None, seed=0)


def test_with_many_beats_batches_are_larger_and_weights_decay_less():
    few, many = Recipe(seed=3).suited(292), Recipe(seed=3).suited(2335)
    assert few == Recipe(seed=3)
    assert (many.batch, many.weight_decay, many.seed) == (64, 0.1, 3)


def test_the_learning_rate_rises_then_falls():
    rates = [Recipe().rate(step, 1000) for step in range(1000)]
    assert rates.index(max(rates)) == pytest.approx(50, abs=1)
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)
    assert np.diff(rates[51:]).max() < 0


def test_a_recipe_comes_back_out_of_the_model_that_it_made(quick_model):
    found = recipe.of(quick_model[1].manifest, seed=7)
    assert found == Recipe(epochs=2, noise_sd=0.2, seed=7)
