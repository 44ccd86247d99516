"""The beats of one partition, and what they count for, as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.alarms.rule import FREQUENT, FREQUENT_ECTOPY, UNUSUAL_SHAPE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.alarms.rule import BeatFlags

# Physiological flags below 0. Others are flagged beats in a row by the personal score; 0: not flagged.
ABNORMAL = -1  # flagged by the population score
UNSCORABLE = -2  # such a beat does not show the heart: the physiological state stays as it is
ECTOPIC = {-3: FREQUENT_ECTOPY, -4: UNUSUAL_SHAPE}  # causes where single beats are frequent: FREQUENT, AFTER_RUN


class PartitionBeats(NamedTuple):
    """The beats of one partition as columns (n,), in the order of their offsets."""

    first_row: int  # in the batch
    source: NDArray[np.object_]
    time: NDArray[np.int64]
    offset: NDArray[np.int64]
    stream_time: NDArray[np.int64]  # the partition's, ms
    flags: FlagColumns


class FlagColumns(NamedTuple):
    """What beats count for, as columns (n,)."""

    flagged: NDArray[np.bool_]  # of either kind
    physiological: NDArray[np.int32]  # 0: not flagged; see ABNORMAL
    cause: NDArray[np.int8]  # technical, 0: none
    priority: NDArray[np.int8]  # where the personal score flags a beat
    begins: NDArray[np.bool_]  # whether a run begins there

    @classmethod
    def of(cls, flags: BeatFlags) -> FlagColumns:
        """The same in the form that runs need."""
        physiological = np.where(flags.run > 0, flags.run, ABNORMAL * flags.abnormal.astype(np.int32))
        if flags.frequent.any():
            is_frequent = (flags.frequent > 0) & (flags.run <= 0)
            physiological[is_frequent] = UNSCORABLE - flags.frequent[is_frequent].astype(np.int32)
        is_unscorable = flags.unscorable != 0
        physiological[is_unscorable] = UNSCORABLE
        cause = np.where(is_unscorable, np.maximum(flags.unscorable, 0), flags.technical)
        begins = (flags.run > 0) & (flags.frequent == FREQUENT)
        return cls((physiological != 0) | (cause != 0), physiological, cause, flags.priority, begins)

    def with_lowest(self, cause: int, has: NDArray[np.bool_]) -> FlagColumns:
        """The same with this technical cause where `has` (n,) is true and the beat has no other."""
        if not has.any():
            return self
        return self._replace(flagged=self.flagged | has, cause=np.where(has & (self.cause == 0), cause, self.cause))

    def rows(self, rows: slice) -> FlagColumns:
        """Those of some beats."""
        counted = self.flagged[rows], self.physiological[rows], self.cause[rows]
        return FlagColumns(*counted, self.priority[rows], self.begins[rows])
