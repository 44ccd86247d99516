"""Beats of many sources with abnormal runs, and bad records among them; the same for the same seed.

It is published once. The disturbed and the undisturbed monitors read the same records at the same offsets.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats import beat_file
from monitor.beats.stream import BEAT_MS, encode, source_name
from monitor.beats.window import R_TO_R
from monitor.broker import Publisher
from monitor.errors import MonitorError
from monitor.model import artifact
from monitor.model.scorer import Scorer
from monitor.recordings import lead_names, open_recording
from monitor.recordings.beat_symbols import NORMAL_SYMBOLS, VENTRICULAR_SYMBOLS
from monitor.recordings.folder import recordings_in
from monitor.recordings.lead_choice import usual_lead
from monitor.recordings.player import Bed, play
from monitor.records.record import Message
from tests.chaos.bad_records import OWN, bad_records
from tests.chaos.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.settings import Settings

HOUR_MS = 3_600_000
NORMAL, ABNORMAL, FLAT, SILENT = range(4)
SILENCE_SECONDS = 10  # MONITOR_EPISODE_SILENCE_SECONDS of chaos: 12.5 beats
NO_SIGNAL_SECONDS = 5  # MONITOR_NO_SIGNAL_SECONDS of chaos: even after a start it opens within the shortest silence
PROFILE_SECONDS = 120  # MONITOR_PROFILE_SECONDS of chaos: 150 beats
MARGIN = 1e-3  # a verdict must not hang on the last bits of a score, which the size of a batch may change
LEAST_VENTRICULAR = 20  # beats of a person who is played
JITTER_MS = 3000
JITTER_SHARE = 0.03
FLAT_BEAT = encode(np.full(140, 0.25, np.float32), "float32")
GOOD = "good"
CHUNK = 2000
SEND_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Load:
    """The number of beats, sources, and records that are not beats."""

    beats: int
    sources: int
    bad: int
    seed: int


Kinds = tuple[list[bytes], list[bytes], list[bytes]]  # encoded beats, by `NORMAL`, `ABNORMAL` and `FLAT`


@dataclass(frozen=True, slots=True)
class BeatPool:
    """Encoded beats of one person or of several. Each source is one of them."""

    people: tuple[Kinds, ...]

    def beats(self, source: int, code: int) -> list[bytes]:
        """The beats of one kind that a source may send."""
        return self.people[source % len(self.people)][code]


def stock(data: Path, model: Path) -> BeatPool:
    """The beats of a folder, without those that score too near to the threshold.

    For a model of beats around R these are people of MIT-BIH with ventricular beats, else the test beats of ECG5000.
    """
    loaded = artifact.load(model, "cpu")
    found = [_ecg5000(data)] if loaded.manifest.window.cut == R_TO_R else list(_people(data))
    scorer, threshold = Scorer(loaded, "cpu", 2048), loaded.manifest.threshold.value
    return BeatPool(tuple(_clear(*one, scorer, threshold) for one in found))


def _ecg5000(data: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Samples (n, 140), and which of the beats are abnormal (n,)."""
    found = beat_file.read(data / "ECG5000_TEST.tsv")
    if found.abnormal is None:
        raise RuntimeError(f"{data}: the beats need labels")
    return found.samples, found.abnormal


def _people(data: Path) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """The same of each recording with enough ventricular beats."""
    for path in recordings_in(data):
        recording = open_recording(path, lead=usual_lead(lead_names(path)))
        beats = [one for one in play([Bed("", recording, 0)]) if one.symbol in NORMAL_SYMBOLS | VENTRICULAR_SYMBOLS]
        ventricular = np.array([one.symbol in VENTRICULAR_SYMBOLS for one in beats])
        if ventricular.sum() >= LEAST_VENTRICULAR:
            yield np.array([one.samples for one in beats]), ventricular


def _clear(samples: NDArray[np.float32], abnormal: NDArray[np.bool_], scorer: Scorer, threshold: float) -> Kinds:
    clear = np.abs(scorer.score(samples).score / threshold - 1) > MARGIN
    normal, other = ([encode(one, "float32") for one in samples[clear & rows]] for rows in (~abnormal, abnormal))
    return normal, other, [FLAT_BEAT]


def records(stock: BeatPool, load: Load, topic: str) -> Iterator[tuple[Message, int]]:
    """Every record with its timestamp, ms; the header `kind` says what it is, which the monitor never reads."""
    rng = random.Random(load.seed)
    start_ms = int(1000 * time.time()) - HOUR_MS - (load.beats // load.sources) * BEAT_MS
    bad = set(rng.sample(range(load.beats), load.bad))
    stream = bad_records(rng)
    places = ((turn, *one) for turn, row in enumerate(turns(rng, load.sources)) for one in row)
    beats = ((turn, source, code) for turn, source, code in places if code != SILENT)
    for count, (turn, source, code) in enumerate(islice(beats, load.beats)):
        at = start_ms + turn * BEAT_MS
        if rng.random() < JITTER_SHARE:
            at += rng.randint(-JITTER_MS, JITTER_MS)
        yield Message(topic, source_name(source), rng.choice(stock.beats(source, code)), (("kind", GOOD.encode()),)), at
        if count in bad:
            kind, key, value = next(stream)
            yield Message(topic, source_name(source) if key == OWN else key, value, (("kind", kind.encode()),)), at


def turns(rng: random.Random, sources: int) -> Iterator[list[tuple[int, int]]]:
    """Yield, for each round, the sources in order with the beat of each."""
    streams = [_source(random.Random(rng.random())) for _ in range(sources)]
    while True:
        yield [(source, next(stream)) for source, stream in enumerate(streams)]


def _source(rng: random.Random) -> Iterator[int]:
    """Yield normal beats and episodes of abnormal beats in turn, endlessly."""
    while True:
        yield from [NORMAL] * rng.randint(5, 40)
        yield from rng.choice(_TROUBLES)(rng)


def _run(rng: random.Random) -> list[int]:
    return [ABNORMAL] * rng.randint(3, 12)


def _broken_run(rng: random.Random) -> list[int]:
    """An episode that opens late or not at all, and stays open over normal beats."""
    pieces = ([ABNORMAL] * rng.randint(1, 2) + [NORMAL] * rng.randint(1, 3) for _ in range(rng.randint(2, 6)))
    return list(chain.from_iterable(pieces))


def _lead_off(rng: random.Random) -> list[int]:
    return [FLAT] * rng.randint(3, 9)


def _falls_silent(rng: random.Random) -> list[int]:
    return _run(rng) + [SILENT] * rng.randint(14, 40)


_TROUBLES = (_run, _run, _broken_run, _lead_off, _falls_silent)


class Feeder:
    """Publishes in its own thread, up to the allowed count. It waits while the broker cannot be reached.

    What was not acknowledged is sent again and may stand twice: it does so for both groups that read it.
    """

    def __init__(self, settings: Settings, items: Iterator[tuple[Message, int]]) -> None:
        self.sent = 0
        self.failure: BaseException | None = None
        self._settings = settings
        self._items = items
        self._allowed = 0
        self._is_closed = False
        self._wake = threading.Condition()
        self._publisher: Publisher | None = None
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self._thread.start()

    def allow(self, count: int) -> None:
        """Allow `count` records in total."""
        with self._wake:
            self._allowed = max(self._allowed, count)
            self._wake.notify()

    def is_done(self) -> bool:
        """Whether all allowed records are acknowledged. Raises RuntimeError if publishing failed."""
        if self.failure is not None:
            raise RuntimeError("the load could not be published") from self.failure
        return self.sent >= self._allowed

    def close(self) -> None:
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        self._thread.join(SEND_SECONDS)

    def _run(self) -> None:
        try:
            while chunk := self._next():
                self._send(chunk)
                self.sent += len(chunk)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self.failure = error
        finally:
            self._drop()

    def _next(self) -> list[tuple[Message, int]]:
        with self._wake:
            self._wake.wait_for(lambda: self._is_closed or self.sent < self._allowed)
            return [] if self._is_closed else list(islice(self._items, min(CHUNK, self._allowed - self.sent)))

    def _send(self, chunk: list[tuple[Message, int]]) -> None:
        deadline = Deadline(SEND_SECONDS, "the broker took the load")
        while not self._is_closed:
            try:
                self._publisher = self._publisher or Publisher(self._settings)
                for message, stamp in chunk:
                    self._publisher.send(message, stamp)
                self._publisher.flush()
            except MonitorError:
                self._drop()
                deadline.wait(0.5)
            else:
                return

    def _drop(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()
