"""Verdicts as annotations of WFDB, which any viewer of ECG recordings shows.

https://physionet.org/physiotools/wag/annot-5.htm describes the format. A library would keep all annotations as objects.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.run_rule import PRIORITIES
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.alarms.rule import Event
    from monitor.backtest.step_player import JudgedPiece

SUFFIX = ".alarm"
NOTED = {"opened": "opened", "updated": "raised", "closed": "closed"}  # events
LIKE, UNLIKE, NOTE, LEARNING = 1, 13, 22, 30  # codes of WFDB, shown as N, Q, " and ?
SKIP, TEXT = 59, 63  # words that hold a longer interval, and a text
MOST_INTERVAL, MOST_SKIP = 2**10 - 1, 2**31 - 1  # samples


class VerdictFile:
    """Annotations of one lead so far, some 2 bytes a beat.

    `?` is a beat while the source learns, `N` one like the source, `Q` one unlike it: its score is above the least of
    a strong beat, or the rule flags it. A note says one sample later that an alarm opens, is raised, or closes.
    """

    def __init__(self, hz: float, least: float) -> None:
        """`hz`: of the lead, whose samples are the unit of time. `least`: a beat with a higher score is unlike."""
        self._hz, self._least = hz, least
        self._last = 0  # sample of the last annotation
        self._content = bytearray()
        self._append(0, NOTE, f"## time resolution: {hz:.12g}")  # the format's own way to say the rate

    def add(self, beats: JudgedPiece) -> None:
        """Annotate the next beats."""
        samples = np.rint(beats.seconds * self._hz).astype(np.int64).tolist()
        is_unlike = ((beats.flags.run > 0) | (beats.scores > self._least)).tolist()
        is_learning, events = np.isnan(beats.scores).tolist(), {one.row: one for one in beats.events}
        for row, sample in enumerate(samples):
            self._append(sample, UNLIKE if is_unlike[row] else LEARNING if is_learning[row] else LIKE)
            if row in events:
                self._append(sample + 1, NOTE, _note(events[row]))

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises RefusedError."""
        part = path.with_name(f"{path.name}.part")
        try:
            part.write_bytes(bytes(self._content) + b"\0\0")
            part.replace(path)
        except OSError as error:
            raise RefusedError(f"{path}: cannot be written: {error.strerror or error}") from error

    def _append(self, sample: int, code: int, text: str = "") -> None:
        interval = max(0, sample - self._last)
        self._last += interval
        while interval > MOST_INTERVAL:
            skipped = min(interval, MOST_SKIP)
            self._content += struct.pack("<HHH", SKIP << 10, skipped >> 16, skipped & 0xFFFF)
            interval -= skipped
        self._content += struct.pack("<H", code << 10 | interval)
        if text:
            self._content += struct.pack("<H", TEXT << 10 | len(text)) + text.encode() + b"\0" * (len(text) % 2)


def _note(event: Event) -> str:
    """What happened to an alarm."""
    said = "reopened" if event.reopened else NOTED[event.name]
    return f"alarm {said}, priority {PRIORITIES[event.episode.priority]}"
