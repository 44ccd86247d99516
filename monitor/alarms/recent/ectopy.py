"""Frequent ectopy, such as bigeminy: many single beats that are not like their source, without a run of them.

The monitor does not use this rule yet: `python -m bench.ectopy` measures it. Constants: measured on MIT-BIH 100 to 124,
docs/experiments.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.recent.source_order import SourceOrder, recent_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EctopyRule:
    """When single beats are frequent."""

    least: float = 3.4  # score of a single beat
    flagged: int = 4  # k: single beats
    window: int = 8  # n: among this many last beats, at most 16
    close: int = 5  # beats in a row that are not frequent close the episode
    merge_ms: int = 120_000  # after it closed, an opening is the same episode


def frequent(
    rule: EctopyRule, carry: NDArray[np.uint16], source: NDArray[np.integer], score: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.uint16]]:
    """Whether single beats are frequent at each of n beats (n,), and the carry (k,) after them.

    `score` (n,): personal; NaN, which is no single beat, while a source learns. The carry has a bit for each of the
    last `window` beats, the newest lowest: 1 = a single beat. It begins with 0.
    """
    sources = SourceOrder.of(source, len(carry))
    bits = recent_bits(sources, score[sources.beat] > rule.least, carry, rule.window)
    return sources.back(np.bitwise_count(bits) >= rule.flagged), sources.last(bits, carry)
