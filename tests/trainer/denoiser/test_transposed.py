"""A transposed convolution is an ordinary one over the spread input with k - 1 - p zeros around, never ones."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from monitor.errors import RefusedError
from trainer.denoiser.transposed import Layer, draw, transposed

LAYERS = [
    Layer(kernel, stride, padding, output_padding)
    for kernel, stride in itertools.product(range(1, 6), range(1, 5))
    for padding in range(kernel + 1)
    for output_padding in range(stride)
    if 3 * stride + kernel - 2 * padding + output_padding > 0
]


def drawn(layer, height=4, width=5):
    draw = torch.Generator().manual_seed(3)
    inputs = torch.randn(2, 3, height, width, generator=draw, dtype=torch.float64)
    return inputs, torch.randn(3, 2, layer.kernel, layer.kernel, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("kernel", range(1, 6))
def test_the_three_steps_give_what_torch_gives(kernel):
    for layer in (layer for layer in LAYERS if layer.kernel == kernel):
        inputs, weight = drawn(layer)
        expected = functional.conv_transpose2d(
            inputs, weight, stride=layer.stride, padding=layer.padding, output_padding=layer.output_padding
        )
        torch.testing.assert_close(transposed(inputs, weight, layer), expected)


def test_the_input_has_k_less_1_less_p_zeros_on_every_side():
    spread = Layer(kernel=5, stride=2, padding=1).spread(torch.ones(1, 1, 2, 2))[0, 0]
    assert spread.shape == (9, 9)  # 3 rows of zeros, 3 of the spread input, 3 rows of zeros
    assert spread.sum() == 4
    assert spread[3:6, 3:6].sum() == 4


def test_ones_around_the_input_would_change_the_border_and_nothing_else():
    inputs, weight = drawn(Layer(3))
    kernel = weight.flip(2, 3).transpose(0, 1)
    ones = functional.conv2d(functional.pad(inputs, (2, 2, 2, 2), value=1.0), kernel)
    zeros = functional.conv_transpose2d(inputs, weight)
    assert not torch.allclose(ones, zeros)
    torch.testing.assert_close(ones[..., 2:-2, 2:-2], zeros[..., 2:-2, 2:-2])


def test_a_layer_that_torch_has_not_is_refused():
    with pytest.raises(RefusedError, match="is not possible"):
        Layer(stride=0).spread(torch.ones(1, 1, 2, 2))


def test_the_drawing_of_the_documentation_can_be_made_again(tmp_path):
    draw(tmp_path / "images" / "drawing.png")
    assert (tmp_path / "images" / "drawing.png").read_bytes().startswith(b"\x89PNG")
