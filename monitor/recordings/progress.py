"""What was done with a recording before an error in the middle of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from monitor.errors import RecordingError
from monitor.terminal import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray


class TimedBeats(Protocol):
    """Some beats in the order of their times."""

    @property
    def seconds(self) -> NDArray[np.float64] | None:
        """(n,), of R since the first sample; None for beats that are not of a recording."""

    def __len__(self) -> int: ...


T = TypeVar("T", bound=TimedBeats)


def reported(beats: Iterator[T], done: str) -> Iterator[T]:
    """The same beats. A RecordingError also says how many went before it, until when; `done` is such as "scored"."""
    count, until = 0, 0.0
    try:
        for some in beats:
            yield some
            count += len(some)
            until = float(some.seconds[-1]) if some.seconds is not None and len(some) else until
    except RecordingError as error:
        if not count:
            raise
        raise error.after(f"{done} before: {count_of(count, 'beat')}, until {until:.3f} s") from error
