"""The noise that pictures get."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import RefusedError
from trainer.denoiser.noise import Corruption, corruption


@pytest.mark.parametrize(
    "text", ["gaussian", "gaussian:x", "salt:0.1", "gaussian:0", "dropout:1", "gaussian:nan", "gaussian:1e39", ""]
)
def test_invalid_noise_is_refused(text):
    with pytest.raises(RefusedError, match="noise"):
        corruption(text)


@settings(deadline=None)
@given(st.sampled_from(["gaussian:0.2", "gaussian:9", "dropout:0.3"]), st.integers(0, 99))
def test_noisy_pictures_stay_in_range_and_their_clean_ones_untouched(text, seed):
    clean = torch.full((1, 1, 8, 8), 0.5)
    noisy = corruption(text).spoil(clean, torch.Generator().manual_seed(seed))
    assert 0 <= noisy.min() <= noisy.max() <= 1
    assert clean.eq(0.5).all()


def test_dropout_sets_its_share_of_the_values_to_0_and_leaves_the_others():
    noisy = Corruption("dropout", 0.3).spoil(torch.ones(1, 3, 100, 100), torch.Generator().manual_seed(0))
    assert set(noisy.unique().tolist()) == {0.0, 1.0}
    assert noisy.mean().item() == pytest.approx(0.7, abs=0.01)
