"""Draws a template in the terminal: the typical beat as a line of dots, and its spread as a band of single dots.

A character is a Braille pattern of 2 x 4 dots (Unicode block 2800).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.points import SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT = 80, 12  # characters, labels included; of the plot alone
LABEL = 10  # characters of the amplitude axis
ACROSS, DOWN = 2 * (WIDTH - LABEL), 4 * HEIGHT  # dots
BAND_STEP = 4  # dots between two of the band
FIRST, LAST = -0.20, 0.36  # seconds, of the time axis
TICKS = (-0.2, -0.1, 0.0, 0.1, 0.2, 0.3)
BLANK = 0x2800
LEAST_STEP = 1e-30  # unit of the beats to a dot: a beat without height is a straight line
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of the dots of a character


def draw_template(typical: NDArray[np.float32], spread: NDArray[np.float32]) -> list[str]:
    """Lines of text with the typical beat (60,) and its spread (60,), both in the unit of the beats."""
    at = np.linspace(FIRST, LAST, ACROSS)
    middle, width = np.interp(at, SECONDS, typical), np.interp(at, SECONDS, spread)
    low, high = float((middle - width).min()), float((middle + width).max())
    per_dot = max((high - low) / (DOWN - 1), LEAST_STEP)

    def down(values: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.clip(np.rint((high - values) / per_dot), 0, DOWN - 1).astype(np.int64)

    dots = np.zeros((DOWN, ACROSS), np.bool_)
    for edge in (middle - width, middle + width):
        dots[down(edge)[::BAND_STEP], np.arange(0, ACROSS, BAND_STEP)] = True
    line = down(middle)
    for column, (before, here) in enumerate(zip(np.append(line[0], line[:-1]), line, strict=True)):
        dots[min(before, here) : max(before, here) + 1, column] = True
    labels = {0: high, HEIGHT // 2: (high + low) / 2, HEIGHT - 1: low}
    lines = [f"{_number(labels.get(row)):>{LABEL - 2}} \u2502{text}" for row, text in enumerate(_characters(dots))]
    return [*lines, _axis(), _ticks()]


def _characters(dots: NDArray[np.bool_]) -> list[str]:
    """The text of dots (48, 140), a line for each four rows."""
    blocks = dots.reshape(HEIGHT, 4, ACROSS // 2, 2)
    codes = BLANK + (blocks * _BITS[None, :, None, :]).sum(axis=(1, 3))
    return ["".join(map(chr, row)) for row in codes.tolist()]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _place(seconds: float) -> int:
    """The character of the plot at this time."""
    return round((seconds - FIRST) / (LAST - FIRST) * (ACROSS - 1)) // 2


def _axis() -> str:
    marks = {_place(seconds) for seconds in TICKS}
    return " " * (LABEL - 1) + "\u2514" + "".join("\u2534" if at in marks else "\u2500" for at in range(ACROSS // 2))


def _ticks() -> str:
    """The times below the axis; R stands at 0."""
    line = ""
    for seconds in TICKS:
        text = "R" if seconds == 0 else f"{seconds:g}"
        line = line.ljust(max(LABEL + _place(seconds) - len(text) // 2, 0)) + text
    return f"{line} s"
