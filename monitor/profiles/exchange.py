"""What the pipeline and the profiles of all sources exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from monitor.profiles.batch import Scored
    from monitor.records.stream_time import StreamTime

MOST_LEARNING, MOST_SOURCES = 40_000, 250_000  # see `monitor.profiles.sources`
Place = tuple[int, bytes]  # partition and source


@dataclass(frozen=True, slots=True)
class Places:
    """How many sources are kept at most."""

    learning: int = MOST_LEARNING
    all: int = MOST_SOURCES


class Heard(NamedTuple):
    """A beat of a source that was judged."""

    offset: int
    stream_time: int  # of the partition at it, ms


@dataclass(frozen=True, slots=True)
class StoredRows:
    """What is known of a partition when this member begins to read it."""

    rows: Mapping[bytes, bytes]  # source -> its stored row
    offset: int  # of the next record to judge: the committed one
    read_from: int  # offset of the first record that will be read; at most `offset`
    stream_time: StreamTime | None = None  # at `offset`; None: not committed
    ended: Mapping[bytes, int] = field(default_factory=dict)  # source -> offset: its records before it are over
    heard: Mapping[bytes, Heard] = field(default_factory=dict)  # of sources with episode state: their last beats


@dataclass(frozen=True, slots=True)
class RestoredSources:
    """What came of the stored rows of a partition."""

    count: int  # sources with a row that is used
    outdated: int  # rows with beats from `StoredRows.offset` on, of other records: they are deleted
    faults: dict[bytes, str]  # rows that cannot be used, and why; their sources learn again


@dataclass(frozen=True, slots=True)
class ObservedBeats:
    """What was observed of n beats, as columns."""

    scored: Scored  # of n beats; not scored where not observed
    order: NDArray[np.int64]  # (m,), those that were observed, by the rows of their sources, in their order
    row: NDArray[np.int64]  # (n,), of the source; NONE where it has none
    rr_seconds: NDArray[np.float32]  # (n,), NaN where it is not known
    source_row: NDArray[np.int64]  # (n,), the same at the end of the batch: another one where a source began again
    is_known: NDArray[np.bool_]  # (n,), in the stored row already, or before a reset: not observed


@dataclass(frozen=True, slots=True)
class ProfileChanges:
    """What is to be written with the offsets of a step."""

    written: tuple[tuple[int, bytes, bytes], ...]  # partition, source and row
    deleted: tuple[Place, ...]
    read_from: dict[int, int]  # by partition: offset of the first record to be read after a restore


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """How many sources are kept."""

    learning: int
    learned: int  # those that were sick while they learned included
    sick: int
