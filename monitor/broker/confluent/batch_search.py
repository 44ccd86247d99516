"""Finds where a batch ends that the library cannot inflate.

librdkafka 2.16.1 inflates zstd up to `receive.message.max.bytes`. For a batch beyond that it reports the offset of the
batch's first record, and reads the same batch again without end. Where the batch ends it does not say. So the position
is set ahead, twice as far each time, until other records come, and then back by halves.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.broker.limits import MAX_INFLATED_BYTES
from monitor.records.record import SetAside

WHY = f"more than {MAX_INFLATED_BYTES} bytes after inflation, or cannot be inflated"


@dataclass(slots=True)
class BatchSearch:
    """The search for the end of one batch."""

    first: int  # offset of the batch's first record
    inside: int  # the highest offset that is known to be in the batch
    outside: int  # the lowest offset that is known to be behind it
    stride: int = 1  # how far behind `inside` to read next, in offsets

    @property
    def is_done(self) -> bool:
        """Whether `inside` is the last offset of the batch."""
        return self.outside - self.inside <= 1

    def next_offset(self) -> int:
        """The offset to read next: the first one behind the batch if the search is done."""
        if self.is_done:
            return self.outside
        return min(self.inside + self.stride, (self.inside + self.outside) // 2)

    def failed(self, offset: int) -> None:
        """Reading at `next_offset` met a batch that cannot be inflated; `offset` is that of its first record."""
        if offset > self.first:  # the next such batch
            self.outside = min(self.outside, offset)
        else:
            self.inside = self.next_offset()
            self.stride *= 2

    def succeeded(self) -> None:
        """Reading at `next_offset` brought something else, or the end of the log."""
        self.outside = self.next_offset()

    def found(self) -> SetAside:
        """The batch as records that were not read, once the search is done."""
        return SetAside(self.first, self.inside, WHY)
