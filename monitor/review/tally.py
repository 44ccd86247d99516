"""Beats, hours and episodes of each source, as the steps bring them. Bounded, however long the period is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from monitor.alarms.rule import FREQUENT_ECTOPY, PHYSIOLOGICAL_CAUSES
from monitor.alarms.run_rule import PRIORITIES
from monitor.records.stream_time import MAX_TIME_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.pipeline.step import Step
    from monitor.profiles import Notice

MOST_EPISODES = 100_000  # that are kept, some 400 bytes each; the others are only counted
MOST_SOURCES = 250_000  # that are counted by themselves, as many as have profiles; the others are one
OTHERS = b""  # no source has this name
NEVER = -1
TALLY = np.dtype(
    [
        ("beats", "i8"),
        ("first_ms", "i8"),  # time of its first beat; NEVER without
        ("last_ms", "i8"),
        ("heard_ms", "i8"),  # between beats that are no silence apart
        ("learned_ms", "i8"),  # time of the beat at which its profile was learned; NEVER without
        ("is_sick", "?"),  # while it learned
        ("physiological", "i4"),  # episodes
        ("technical", "i4"),
    ]
)


@dataclass(slots=True)
class ReviewedEpisode:
    """One episode, as its alerts say it. An episode that opened again is one."""

    id: str
    source: str
    kind: str
    cause: str  # of its last opening or rise; frequent ectopy where it had no other
    priority: str  # the highest
    opened_at: str | None  # RFC 3339; None where the beat has no time
    closed_at: str | None = None  # None while it is open
    openings: int = 0
    abnormal_beats: int = 0
    beats: int = 0


class Tally:
    """What the steps so far come to."""

    def __init__(self, alerts_topic: str, silence_ms: int, only: bytes | None = None) -> None:
        """`silence_ms`: beats of a source that are further apart have a silence between them, which does not count.

        `only`: the source that is counted; None counts all.
        """
        self._alerts_topic, self._silence_ms, self._only = alerts_topic, silence_ms, only
        self._rows: dict[bytes, int] = {}
        self._table = np.empty(0, TALLY)
        self._open: dict[str, ReviewedEpisode] = {}  # those whose end is not known, also beyond MOST_EPISODES
        self.episodes: dict[str, ReviewedEpisode] = {}
        self.left_out = 0  # episodes beyond MOST_EPISODES
        self.priorities: Counter[tuple[str, str]] = Counter()  # kind and highest priority -> episodes
        self.rejected = 0  # records that are not beats

    @property
    def sources(self) -> list[bytes]:
        """The sources, in the order of the rows of `table`."""
        return list(self._rows)

    @property
    def table(self) -> NDArray[np.void]:
        """A row of type TALLY for each source."""
        return self._table[: len(self._rows)]

    def add(self, step: Step) -> None:
        """Count one step."""
        judged, notices = step.facts.judged, step.facts.notices
        self.rejected += len(step.facts.reasons)
        rows = self._rows_of(judged.beats.source.tolist())
        self._count(rows, judged.beats.time)
        self._note(rows, judged.beats.time, notices)
        for message in step.checkpoint.messages:
            if message.topic == self._alerts_topic and message.key is not None and self._is_wanted(message.key):
                self._add_alert(message.key, orjson.loads(message.value or b"{}"))

    def _is_wanted(self, source: bytes) -> bool:
        return self._only is None or source == self._only

    def _rows_of(self, sources: list[bytes]) -> NDArray[np.int64]:
        """The row of each beat's source (n,); -1 where it is not counted."""
        rows = self._known(sources)
        for source in dict.fromkeys(sources[at] for at in np.flatnonzero(rows < 0).tolist()):
            if self._is_wanted(source):
                self._rows.setdefault(source if len(self._rows) < MOST_SOURCES else OTHERS, len(self._rows))
        if rows.min(initial=0) < 0:
            self._grow(len(self._rows))
            rows = self._known(sources)
        return np.where(rows < 0, self._rows.get(OTHERS, -1), rows)

    def _known(self, sources: list[bytes]) -> NDArray[np.int64]:
        """The row of each of these sources (n,); -1 where it has none of its own."""
        return np.fromiter(map(self._rows.get, sources, repeat(-1)), np.int64, len(sources))

    def _grow(self, count: int) -> None:
        if count > len(self._table):
            new = np.zeros(max(count, 2 * len(self._table)), TALLY)
            for name in ("first_ms", "last_ms", "learned_ms"):
                new[name] = NEVER
            new[: len(self._table)] = self._table
            self._table = new

    def _count(self, rows: NDArray[np.int64], time_ms: NDArray[np.int64]) -> None:
        """Count beats (n,), and the time between them."""
        table, counted = self._table, np.flatnonzero(rows >= 0)
        np.add.at(table["beats"], rows[counted], 1)
        order = counted[np.argsort(rows[counted], kind="stable")]
        order = order[(time_ms[order] >= 0) & (time_ms[order] <= MAX_TIME_MS)]
        rows, time_ms = rows[order], time_ms[order]
        is_first, is_last = np.diff(rows, prepend=-1) != 0, np.diff(rows, append=-1) != 0
        firsts, lasts = rows[is_first], rows[is_last]
        before = np.roll(time_ms, 1)
        before[is_first] = np.where(table["last_ms"][firsts] == NEVER, time_ms[is_first], table["last_ms"][firsts])
        gap = time_ms - before
        np.add.at(table["heard_ms"], rows, np.where((gap > 0) & (gap <= self._silence_ms), gap, 0))
        is_new = table["first_ms"][firsts] == NEVER
        table["first_ms"][firsts[is_new]] = time_ms[is_first][is_new]
        table["last_ms"][lasts] = time_ms[is_last]

    def _note(self, rows: NDArray[np.int64], time_ms: NDArray[np.int64], notices: Sequence[Notice]) -> None:
        """Note which sources have learned their profiles."""
        for one in notices:
            row = int(rows[one.beat])
            if row >= 0 and one.kind in ("learned", "sick-while-learning"):
                self._table["learned_ms"][row] = max(NEVER, int(time_ms[one.beat]))
                self._table["is_sick"][row] = one.kind == "sick-while-learning"

    def _add_alert(self, source: bytes, alert: dict[str, Any]) -> None:
        """Add what one alert says; the fields are those of `docs/messages.md`."""
        episode = self._open.get(alert["id"]) or self.episodes.get(alert["id"])
        if episode is None:
            episode = self._opened(source, alert)
        beats = alert["beats"]
        episode.abnormal_beats, episode.beats = beats["abnormal"], beats["seen"]
        if alert["event"] == "opened":
            episode.openings += 1
            episode.closed_at = None
            self._open[episode.id] = episode
        if alert["event"] != "closed":
            if alert["cause"] != PHYSIOLOGICAL_CAUSES[FREQUENT_ECTOPY - 1]:  # a run that came in it is graver
                episode.cause = alert["cause"]
            self._rise(episode, alert["priority"])
        else:
            episode.closed_at = alert["closed_at"]
            self._open.pop(episode.id, None)

    def _opened(self, source: bytes, alert: dict[str, Any]) -> ReviewedEpisode:
        """An episode that is not known. One that opens again is not counted: it is one beyond MOST_EPISODES."""
        names = "id", "source", "kind", "cause", "priority"
        identity, name, kind, cause, priority = (str(alert[one]) for one in names)
        episode = ReviewedEpisode(identity, name, kind, cause, priority, alert["opened_at"])
        if alert["reopened"]:
            return episode
        row = self._rows.get(source, self._rows.get(OTHERS, NEVER))
        self._table[episode.kind][row] += 1
        self.priorities[episode.kind, episode.priority] += 1
        if len(self.episodes) < MOST_EPISODES:
            self.episodes[episode.id] = episode
        else:
            self.left_out += 1
        return episode

    def _rise(self, episode: ReviewedEpisode, priority: str) -> None:
        if PRIORITIES.index(priority) > PRIORITIES.index(episode.priority):
            self.priorities[episode.kind, episode.priority] -= 1
            self.priorities[episode.kind, priority] += 1
            episode.priority = priority
