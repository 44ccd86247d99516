"""Steps of the optimiser Muon."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.denoiser.muon import orthogonal


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None)
def test_an_orthogonal_step_moves_every_direction_about_alike(rows, columns, seed):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    left, found, right = torch.linalg.svd(matrix, full_matrices=False)
    strong = found > 0.05 * matrix.norm()
    moved = (left.T @ orthogonal(matrix) @ right.T).diagonal()
    assert moved[strong].min() > 0.5
    assert moved[strong].max() < 1.4
