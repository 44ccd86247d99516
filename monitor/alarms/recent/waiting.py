"""Whether the model knows the leads of sources that wait to learn, because as many as can learn already do.

They have no row that could remember it. So it is kept here, for a bounded number of sources, and not stored: after a
restart they are asked again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.recent.model_fit import UNDECIDED, FitCarry, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_WAITING = 100_000  # sources, some 250 bytes each
_BLANK = (0, 0, UNDECIDED)


class WaitingSources:
    """What is remembered of the sources that waited last."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        """Beyond `most` sources, the one that was not heard for the longest time is forgotten."""
        self._most = most
        # By partition and source; the last heard last. The first entry of a dict is found in linear time, here at once.
        self._fit: OrderedDict[tuple[int, bytes], tuple[int, int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._fit)

    def judge(
        self, partition: NDArray[np.int32], source: NDArray[np.object_], above: NDArray[np.bool_]
    ) -> NDArray[np.int8]:
        """The verdict at each of n beats (n,) of waiting sources, as `model_fit.fit` gives it."""
        places = list(zip(partition.tolist(), source.tolist(), strict=True))
        number = {place: at for at, place in enumerate(dict.fromkeys(places))}
        before = np.array([self._fit.pop(place, _BLANK) for place in number], np.int8).reshape(-1, 3)
        verdict, after = fit(FitCarry(*before.T), np.array([number[place] for place in places], np.int64), above)
        self._fit.update(zip(number, zip(*(column.tolist() for column in after), strict=True), strict=True))
        while len(self._fit) > self._most:
            self._fit.popitem(last=False)
        return verdict

    def end(self, partition: int, source: bytes) -> None:
        """Forget a source that has ended."""
        self._fit.pop((partition, source), None)

    def revoke(self, partition: int) -> None:
        """Forget the sources of a partition."""
        self._fit = OrderedDict((place, one) for place, one in self._fit.items() if place[0] != partition)
