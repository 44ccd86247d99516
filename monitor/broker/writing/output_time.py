"""The time that written records carry: that of this machine, or one near it where the broker does not take that.

Kafka refuses a record with a time that is more than `message.timestamp.after.max.ms` ahead of its own clock, by default
an hour since Kafka 4. A monitor whose clock is wrong would never get an alert out.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
FARTHEST = 22  # refusals: the last step is 120 years, then the first one comes again


class OutputTime:
    """Tries times an hour earlier and later, then four hours, and so on, each time that the broker refuses one."""

    def __init__(self) -> None:
        self._refused = 0

    def times(self, count: int) -> Sequence[int | None]:
        """The times to send `count` records with, ms since the epoch; empty: the client takes this machine's time."""
        return [int(1000 * time.time()) + shift_ms(self._refused)] * count if self._refused else ()

    def refuse(self) -> None:
        """The broker has refused the last times."""
        self._refused = self._refused % FARTHEST + 1
        log.error(
            "the broker refuses the time of this machine: its records now carry one %+g hours from it. Set the clock "
            "that is wrong, and restart the monitor if it is this one",
            shift_ms(self._refused) / HOUR_MS,
        )


def shift_ms(refused: int) -> int:
    """How far the times are from this machine's, in ms, after so many refusals, at least one."""
    earlier, step = refused % 2, (refused - 1) // 2
    return (-1 if earlier else 1) * int(4**step * HOUR_MS)
