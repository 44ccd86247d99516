"""Draw `docs/images/transposed-convolution.png`: `python -m trainer.denoiser.transposed`.

A transposed convolution with kernel k, stride s and padding p equals an ordinary convolution of stride 1 with the
kernel turned by 180 degrees. Its input has s - 1 zeros between the values, and k - 1 - p zeros around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWING = Path("docs/images/transposed-convolution.png")
FILLS = {"x": "#9ecae1", "o": "#f0f0f0", "z": "#ffffff", "y": "#a1d99b"}


@dataclass(frozen=True, slots=True)
class Layer:
    """torch's `kernel_size`, `stride`, `padding` and `output_padding`. Each is the same along both axes."""

    kernel: int = 3
    stride: int = 1
    padding: int = 0
    output_padding: int = 0

    @property
    def zeros(self) -> int:
        """Rows of zeros on each side of the spread input. The bottom and the right have `output_padding` more."""
        return self.kernel - 1 - self.padding

    def spread(self, inputs: Tensor) -> Tensor:
        """The input (n, c, h, w) with stride - 1 zeros between its values, and zeros around them.

        If the number of zeros around is negative, rows are cut off. Raises RefusedError if torch has no such layer.
        """
        if min(self.kernel, self.stride) < 1 or min(self.padding, self.output_padding) < 0:
            raise RefusedError(f"{self} is not possible: kernel and stride must be at least 1, the paddings at least 0")
        batch, channels, height, width = inputs.shape
        apart = inputs.new_zeros(batch, channels, (height - 1) * self.stride + 1, (width - 1) * self.stride + 1)
        apart[..., :: self.stride, :: self.stride] = inputs
        before, after = self.zeros, self.zeros + self.output_padding
        return functional.pad(apart, (before, after, before, after))


def transposed(inputs: Tensor, weight: Tensor, layer: Layer) -> Tensor:
    """The result of torch's `conv_transpose2d` for a weight (in, out, k, k), computed by an ordinary convolution."""
    return functional.conv2d(layer.spread(inputs), weight.flip(2, 3).transpose(0, 1))


def draw(path: Path) -> None:
    """Draw two layers, stride 1 above and stride 2 below: the spread input on the left, the output on the right."""
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    rows = figure.subplots(2, 2, width_ratios=(1.2, 1))
    layers = ((Layer(3, 1, 0), 2), (Layer(3, 2, 1, 1), 3))
    for (left, right), (layer, side) in zip(rows, layers, strict=True):
        cells = layer.spread(torch.ones(1, 1, side, side))[0, 0]
        outputs = cells.shape[0] - layer.kernel + 1
        _grid(left, _kinds(cells, layer), len(cells))
        left.add_patch(Rectangle((0, 0), layer.kernel, layer.kernel, fill=False, edgecolor="#d62728", linewidth=2.5))
        left.set_title(
            f"kernel {layer.kernel}, stride {layer.stride}, padding {layer.padding}, output padding "
            f"{layer.output_padding}:\n{layer.kernel} - 1 - {layer.padding} = {layer.zeros} "
            f"{'row' if layer.zeros == 1 else 'rows'} of zeros around"
            + (f", {layer.output_padding} more below and right" if layer.output_padding else ""),
            fontsize=10,
        )
        _grid(right, [["y"] * outputs] * outputs, len(cells))
        right.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor="#d62728", linewidth=2.5))
        right.set_title(f"output {outputs} x {outputs}", fontsize=10)
    figure.supxlabel(
        "blue: input    grey 0: inserted by the stride    white 0: padding    red: the turned kernel at its first "
        "place, and the output value that it gives",
        fontsize=9,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _kinds(cells: Tensor, layer: Layer) -> list[list[str]]:
    """The kind of each cell of the spread input: x for input, o for a zero between values, z for padding."""
    side = len(cells)
    inner = range(layer.zeros, side - layer.zeros - layer.output_padding)
    return [
        ["x" if cells[y, x] else "o" if y in inner and x in inner else "z" for x in range(side)] for y in range(side)
    ]


def _grid(axes: Axes, kinds: list[list[str]], side: int) -> None:
    """Draw a grid of cells. Cells are as large as in a grid with `side` cells on a side."""
    for y, row in enumerate(kinds):
        for x, kind in enumerate(row):
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=FILLS[kind], edgecolor="#888888", linewidth=0.8))
            axes.text(x + 0.5, y + 0.5, "0" if kind in "oz" else kind, ha="center", va="center", fontsize=9)
    axes.set(xlim=(-0.1, side + 0.1), ylim=(side + 0.1, -0.1), aspect="equal")
    axes.axis("off")


if __name__ == "__main__":
    draw(DRAWING)
