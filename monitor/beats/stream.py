"""The beats of files as messages, distributed over sources as if several leads were recorded at the same time."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from monitor.beats import beat_file
from monitor.beats.beat import encode
from monitor.errors import RefusedError
from monitor.records.record import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


BEAT_MS = 800  # 75 beats a minute


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """How beats are published: over how many sources, in which form, how fast, and with which first time."""

    sources: int = 1
    rate: float | None = None  # beats per second over all sources; None: as fast as possible
    form: Literal["float32", "json"] = "float32"
    start_ms: int | None = None  # time of each source's first beat, ms since the epoch; None: each when it is sent
    shuffle: int | None = None  # seed of a random order; None: the order of the files
    loop: bool = False  # begin again after the last beat, without end
    source: str | None = None  # of all beats; None: the numbered sources


@dataclass(frozen=True, slots=True)
class StoredBeats:
    """n beats out of files."""

    samples: NDArray[np.float32]  # (n, 140)
    abnormal: NDArray[np.bool_] | None  # (n,); None where the files have no labels


def load(paths: tuple[Path, ...]) -> StoredBeats:
    """All beats of the files, in order. Raises RefusedError, with the name of the file, for a file without beats."""
    files = [beat_file.read(path) for path in paths]
    labels = [file.abnormal for file in files if file.abnormal is not None]
    if 0 < len(labels) < len(files):
        raise RefusedError("some of the files have labels and some do not: publish them one after the other")
    return StoredBeats(np.concatenate([file.samples for file in files]), np.concatenate(labels) if labels else None)


def messages(stock: StoredBeats, topic: str, plan: PublishPlan) -> Iterator[tuple[Message, int | None]]:
    """Each beat as a message for `topic` with its timestamp in ms since the epoch (None: now); without end with `loop`.

    Beat i goes to source i modulo `plan.sources`. A label goes into the header `label`, which the monitor never reads.
    """
    order = list(range(len(stock.samples)))
    if plan.shuffle is not None:
        random.Random(plan.shuffle).shuffle(order)
    for count, row in enumerate(itertools.cycle(order) if plan.loop else order):
        lead, number = count % plan.sources, count // plan.sources
        headers = () if stock.abnormal is None else (("label", b"abnormal" if stock.abnormal[row] else b"normal"),)
        stamp = None if plan.start_ms is None else plan.start_ms + number * BEAT_MS
        key = source_name(lead) if plan.source is None else plan.source.encode()
        yield Message(topic, key, encode(stock.samples[row], plan.form), headers), stamp


def source_name(lead: int) -> bytes:
    """The record key of the lead of that number, from 0."""
    return b"source-%05d" % lead


def paced(items: Iterator[tuple[Message, int | None]], rate: float | None) -> Iterator[tuple[Message, int | None]]:
    """The same items, at most `rate` of them a second; None: as fast as they are taken."""
    began = time.monotonic()
    for count, item in enumerate(items):
        if rate is not None and (ahead := began + count / rate - time.monotonic()) > 0:
            time.sleep(ahead)
        yield item
