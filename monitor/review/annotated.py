"""Runs of ventricular beats, by the annotations that beats carry, held against the alarms of the step.

`publish --labels` writes the annotation of a recording's beat into a header, which the monitor does not read. It is
counted as `monitor/backtest/counting.py` counts: a run is found when an episode is open at one of its beats, and an
episode without a run is false, whatever caused it. Frequent ectopy is left out. While a source learns, nothing counts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.episodes import Episodes
from monitor.recordings.beat_symbols import VENTRICULAR_SYMBOLS
from monitor.records.record import ANNOTATION_HEADER
from monitor.review.tally import MOST_SOURCES

if TYPE_CHECKING:
    from monitor.alarms.rule import EpisodeRule, Event
    from monitor.pipeline.step import Step
    from monitor.records.record import Records

LEAST_RUN, LONG_RUN = 3, 5  # beats
_VENTRICULAR = frozenset(symbol.encode() for symbol in VENTRICULAR_SYMBOLS)


@dataclass(slots=True)
class AnnotatedCounts:
    """What the alarms of sources with annotated beats come to."""

    beats: int = 0  # annotated, after their sources had learned
    sources: int = 0  # with annotated beats
    hours: float = 0.0  # between annotated beats
    episodes: int = 0
    false: int = 0
    runs: int = 0  # of three ventricular beats and more
    found: int = 0
    long_runs: int = 0  # of five and more
    long_found: int = 0


@dataclass(slots=True)
class _Source:
    """A source with annotated beats, so far."""

    is_open: bool = False
    is_false: bool = False  # the last episode, up to now
    run: int = 0  # ventricular beats in a row
    is_found: bool = False  # that run
    last_ms: int = -1  # time of the last annotated beat that counts


class AnnotatedRuns:
    """Takes the records of each step before it, and the step. Looks at the headers of all records."""

    def __init__(self, rule: EpisodeRule, *, has_profiles: bool, only: bytes | None = None) -> None:
        """`only`: the source that is counted; None counts all, MOST_SOURCES of them."""
        self._episodes, self._silence_ms = Episodes(rule), rule.silence_ms
        self._has_profiles, self._only = has_profiles, only
        self._annotations: deque[dict[tuple[int, int], bytes]] = deque()  # of the records of the next steps
        self._sources: dict[bytes, _Source] = {}
        self.counts = AnnotatedCounts()

    def note(self, records: Records) -> None:
        """The records of a step that comes."""
        names = set(map(itemgetter(0), chain.from_iterable(records.headers)))
        if ANNOTATION_HEADER not in names:  # most topics have none, and one look at all names is quick
            self._annotations.append({})
            return
        places = zip(records.partition.tolist(), records.offset.tolist(), records.headers, strict=True)
        self._annotations.append(
            {
                (partition, offset): value
                for partition, offset, headers in places
                for name, value in headers
                if name == ANNOTATION_HEADER and value
            }
        )

    def add(self, step: Step) -> None:
        """Count a step, of the records that were noted first."""
        annotations = self._annotations.popleft()
        if not annotations and not self._sources:
            return
        judged = step.facts.judged
        beats = judged.beats
        events: dict[int, list[Event]] = {}
        for event in self._episodes.observe(beats, step.facts.flags.without_ectopy()).events:
            if event.kind == "physiological":
                events.setdefault(event.row, []).append(event)
        counts = (~np.isnan(judged.personal) if self._has_profiles else np.ones(len(beats), np.bool_)).tolist()
        places = zip(beats.partition.tolist(), beats.offset.tolist(), strict=True)
        columns = zip(places, beats.source.tolist(), beats.time.tolist(), counts, strict=True)
        for row, (place, name, time_ms, is_counted) in enumerate(columns):
            symbol = annotations.get(place)
            source = self._source(name) if symbol else None
            for event in events.get(row, ()):
                self._add_event(event, is_counted=is_counted)
            if symbol and source is not None and is_counted:
                self._add_beat(source, symbol, time_ms)

    def _source(self, name: bytes) -> _Source | None:
        known = self._sources.get(name)
        if known is None and self._only in (None, name) and len(self._sources) < MOST_SOURCES:
            known = self._sources[name] = _Source()
            self.counts.sources += 1
        return known

    def _add_event(self, event: Event, *, is_counted: bool) -> None:
        source = self._sources.get(event.source)
        if source is None:
            return
        if event.name == "opened" and not event.reopened:
            source.is_false = is_counted
            self.counts.episodes += is_counted
            self.counts.false += is_counted
        source.is_open = event.name != "closed"

    def _add_beat(self, source: _Source, symbol: bytes, time_ms: int) -> None:
        counts = self.counts
        counts.beats += 1
        if source.last_ms >= 0 and 0 < time_ms - source.last_ms <= self._silence_ms:
            counts.hours += (time_ms - source.last_ms) / 3_600_000
        source.last_ms = time_ms
        if symbol not in _VENTRICULAR:
            source.run, source.is_found = 0, False
            return
        was_found = source.is_found and source.run >= LEAST_RUN
        was_long_found = source.is_found and source.run >= LONG_RUN
        source.run += 1
        source.is_found |= source.is_open
        counts.runs += source.run == LEAST_RUN
        counts.long_runs += source.run == LONG_RUN
        counts.found += source.is_found and source.run >= LEAST_RUN and not was_found
        counts.long_found += source.is_found and source.run >= LONG_RUN and not was_long_found
        if source.is_open and source.is_false and source.run >= LEAST_RUN:
            source.is_false = False
            counts.false -= 1
