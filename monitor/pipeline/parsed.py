"""The records of one poll after parsing, and which of them count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.model.scorer import Scores
from monitor.records.record import partition_slices

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from monitor.beats.beat import Beats
    from monitor.deadletters.letter import RejectedRecord
    from monitor.records.record import RecordHeaders, Records
    from monitor.telemetry.facts import Stage


@dataclass(frozen=True, slots=True)
class Parsed:
    """The records of one poll as beats and dead letters, before scoring.

    Of the records only the headers are kept: keys and values would keep the whole answers of the broker in memory.
    """

    beats: Beats
    headers: RecordHeaders
    is_again: NDArray[np.bool_]  # (n,), beats that were judged before, and only complete the profiles
    letters: list[RejectedRecord]
    ends: Mapping[int, int]  # partition -> offset of the next record to read
    offsets: Mapping[int, int]  # the same of partitions of which a record was judged
    shed: Counter[int]  # partition -> records left out because they are too old
    started: float  # monotonic seconds when the records had been read
    seconds: Mapping[Stage, float]
    scores: Future[Scores] | None = None  # where the beats are being scored in the background


def judged_before(
    partition: NDArray[np.int32], offset: NDArray[np.int64], known: Mapping[int, range]
) -> NDArray[np.bool_]:
    """Which records (n,) were judged before: those whose offsets are `known` of their partition."""
    again = np.zeros(len(offset), np.bool_)
    for number, rows in partition_slices(partition) if known else ():
        if rows.start < rows.stop and (of := known.get(number)) and offset[rows.start] < of.stop:
            again[rows] = (offset[rows] >= of.start) & (offset[rows] < of.stop)
    return again


def counts(records: Records) -> Counter[int]:
    """Records by partition."""
    return Counter({partition: rows.stop - rows.start for partition, rows in partition_slices(records.partition)})


def without(dropped: Collection[int], parsed: Parsed, scores: Scores) -> tuple[Parsed, Scores]:
    """The same without the records of the partitions in `dropped`."""
    keep = ~np.isin(parsed.beats.partition, list(dropped))
    letters = [letter for letter in parsed.letters if letter.partition not in dropped]
    ends, offsets, shed = (
        {partition: number for partition, number in one.items() if partition not in dropped}
        for one in (parsed.ends, parsed.offsets, parsed.shed)
    )
    beats, is_again = parsed.beats.select(keep), parsed.is_again[keep]
    rest = replace(
        parsed, beats=beats, is_again=is_again, letters=letters, ends=ends, offsets=offsets, shed=Counter(shed)
    )
    return rest, Scores(scores.score[keep], scores.cause[keep])
