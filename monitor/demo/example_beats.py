"""The beats of ECG5000's test part as 50 leads: mostly normal ones with runs of abnormal ones, and some bad records."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import click
import numpy as np

from monitor import broker
from monitor.beats import beat_file, stream
from monitor.beats.beat import encode
from monitor.errors import MonitorError
from monitor.records.record import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.beats.beat_file import BeatFile
    from monitor.settings import Settings

SOURCES = 50
BEATS_PER_SOURCE = 400
RATE = 4000.0  # beats per second over all sources: a hospital of 3,200 leads
BAD_RECORDS = 20
RECORDS = SOURCES * BEATS_PER_SOURCE + BAD_RECORDS
SEED = 7


def read(folder: Path) -> BeatFile:
    """The beats of ECG5000's test file, which the model was not trained on."""
    return beat_file.read(next(path for path in sorted(folder.iterdir()) if "TEST" in path.name.upper()))


def publish(config: Settings, beats: BeatFile) -> None:
    """Publish RECORDS records. Raises MonitorError for beats without labels."""
    random = np.random.default_rng(SEED)
    plans = np.stack([_plan(random, BEATS_PER_SOURCE) for _ in range(SOURCES)])
    bad = set(random.choice(plans.size, BAD_RECORDS, replace=False).tolist())
    items = _items(config.beats_topic, beats, plans, bad, random)
    with closing(broker.Publisher(config)) as publisher:
        paced = stream.paced(items, RATE)
        label = "— publishing beats"
        with click.progressbar(paced, length=RECORDS, label=label, file=sys.stderr, show_pos=True) as bar:
            for message, stamp in bar:
                publisher.send(message, stamp)
        publisher.flush()


def _plan(random: np.random.Generator, length: int) -> NDArray[np.bool_]:
    """Which beats (length,) of one source are abnormal: 30 to 89 normal ones, then 1 to 12 abnormal ones, and again."""
    plan = np.zeros(length, np.bool_)
    at = int(random.integers(30, 90))
    while at < length - 20:
        run = int(random.integers(1, 13))
        plan[at : at + run] = True
        at += run + int(random.integers(30, 90))
    return plan


def _items(
    topic: str, beats: BeatFile, plans: NDArray[np.bool_], bad: set[int], random: np.random.Generator
) -> Iterator[tuple[Message, int | None]]:
    if beats.abnormal is None:
        raise MonitorError("the test beats have no labels: the demo needs ECG5000")
    pools = {label: np.flatnonzero(beats.abnormal == label) for label in (False, True)}
    for count, abnormal in enumerate(plans.T.ravel().tolist()):
        source = stream.source_name(count % SOURCES)
        row = int(random.choice(pools[abnormal]))
        label = b"abnormal" if abnormal else b"normal"
        yield Message(topic, source, encode(beats.samples[row], "float32"), (("label", label),)), None
        if count in bad:
            yield Message(topic, source, b"not a beat"), None
