"""The summary of a demo: reads the topics back and compares alerts and scores with the labels.

The monitor does not read the labels. They are in a header of the beats.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from monitor import broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitor.settings import Settings

LONG_RUN = 5  # abnormal beats in a row that must raise an alert
RAISED_SHARE = 0.95  # of the long runs, for the demo to succeed
WORST = 12  # beats in the picture
Place = tuple[int, int]  # partition, offset


@dataclass(slots=True)
class SourceRuns:
    """The beats of one source in order: their labels, their places on the topic, and the spans of open episodes.

    A span is the number of the first and the last beat of an episode.
    """

    abnormal: list[bool] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def runs(self) -> Iterator[tuple[int, int]]:
        """The number of the first and the last beat of each run of abnormal beats."""
        edges = np.diff(np.array([False, *self.abnormal, False], np.int8))
        yield from zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True)

    def raised(self, first: int, last: int) -> bool:
        """Whether an episode was open during at least one beat of a run."""
        return any(start <= last and end >= first for start, end in self.spans)

    def is_false(self, span: tuple[int, int], flagged: int, window: int) -> bool:
        """Whether no run of at least `flagged` abnormal beats lies within `window` beats of the episode's start."""
        start, end = span[0] + 1 - window, span[1]
        return not any(first <= end and last >= start for first, last in self.runs() if last - first + 1 >= flagged)


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of one demo; latencies in seconds, from the timestamp of the beat to that of its alert."""

    published: int
    scored: int
    unscored: int  # beats without a score on the scores topic
    doubled: int  # beats with a second score
    bad_published: int
    dead_letters: int
    long_runs: int
    raised: int
    episodes: int
    false_episodes: int
    precision: float
    recall: float
    beats_per_second: float
    latency_p50: float
    latency_p99: float
    worst: tuple[dict[str, Any], ...]

    @property
    def holds(self) -> bool:
        """Whether the demo succeeded."""
        is_complete = self.unscored == 0 and self.dead_letters == self.bad_published
        return is_complete and self.raised >= RAISED_SHARE * self.long_runs

    def text(self) -> str:
        """A table for people."""
        p50_ms, p99_ms = 1000 * self.latency_p50, 1000 * self.latency_p99
        rows = {
            "beats": f"{self.published:,} published, {self.scored:,} scored, {self.unscored} not scored, "
            f"{self.doubled} scored twice",
            "bad records": f"{self.bad_published} published, {self.dead_letters} dead letters",
            "abnormal runs": f"{self.long_runs} of {LONG_RUN} or more abnormal beats in a row: {self.raised} raised an "
            f"alert, {self.long_runs - self.raised} did not",
            "episodes": f"{self.episodes} opened, {self.false_episodes} of them without enough abnormal beats",
            "single beats": f"precision {self.precision:.3f}, recall {self.recall:.3f}",
            "speed": f"{self.beats_per_second:,.0f} beats per second, as fast as they were published",
            "alert delay": f"median {p50_ms:.0f} ms, 99 % within {p99_ms:.0f} ms",
        }
        return "\n".join(["", *(f"{name:14} {row}" for name, row in rows.items())])


def collect(settings: Settings) -> Summary:
    """Read beats, scores, alerts and dead letters, and count. Raises BrokerError when a topic cannot be read."""
    beats = list(_read(settings, settings.beats_topic))
    labelled = {(record.partition, record.offset): record for record in beats if record.headers}
    scored = [(record, orjson.loads(record.value)) for record in _read(settings, settings.scores_topic)]
    verdicts = {(value["partition"], value["offset"]): bool(value["abnormal"]) for _, value in scored}
    alerts = [(record, orjson.loads(record.value)) for record in _read(settings, settings.alerts_topic)]
    sources = _sources(labelled, alerts)
    long_runs = [(source, run) for source in sources for run in source.runs() if run[1] - run[0] + 1 >= LONG_RUN]
    spans = [(source, span) for source in sources for span in source.spans]
    rule = (settings.episode_open, settings.episode_window)
    hits = sum(verdicts.get(place, False) and _is_abnormal(record) for place, record in labelled.items())
    latency = [record.timestamp / 1000 - _seconds(value["beat_time"]) for record, value in alerts]
    span_seconds = (max(record.timestamp for record, _ in scored) - min(record.timestamp for record in beats)) / 1000
    opened = [value for _, value in alerts if value["event"] == "opened" and value["reconstruction"]]
    return Summary(
        published=len(labelled),
        scored=len(verdicts),
        unscored=len(labelled.keys() - verdicts.keys()),
        doubled=len(scored) - len(verdicts),
        bad_published=len(beats) - len(labelled),
        dead_letters=sum(1 for _ in _read(settings, settings.dead_letters_topic)),
        long_runs=len(long_runs),
        raised=sum(source.raised(*run) for source, run in long_runs),
        episodes=len(spans),
        false_episodes=sum(source.is_false(span, *rule) for source, span in spans),
        precision=hits / max(1, sum(verdicts.values())),
        recall=hits / max(1, sum(map(_is_abnormal, labelled.values()))),
        beats_per_second=len(verdicts) / max(span_seconds, 1e-3),
        latency_p50=float(np.percentile(latency, 50)) if latency else 0.0,
        latency_p99=float(np.percentile(latency, 99)) if latency else 0.0,
        worst=tuple(sorted(opened, key=lambda value: -value["score"])[:WORST]),
    )


def _read(settings: Settings, topic: str) -> Iterator[Any]:
    with broker.Reader(settings, topic, from_beginning=True) as reader:
        yield from reader.until_end()


def _is_abnormal(record: Any) -> bool:
    return ("label", b"abnormal") in record.headers


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _sources(labelled: dict[Place, Any], alerts: list[tuple[Any, dict[str, Any]]]) -> list[SourceRuns]:
    """The sources with their beats in the order of the topic, and the spans of their physiological episodes."""
    found: defaultdict[bytes, SourceRuns] = defaultdict(SourceRuns)
    at: dict[Place, int] = {}
    for place, record in sorted(labelled.items()):
        source = found[record.key]
        at[place] = len(source.places)
        source.places.append(place)
        source.abnormal.append(_is_abnormal(record))
    ends: defaultdict[str, list[int | None]] = defaultdict(
        list
    )  # of an episode that opened again, one for each opening
    for _, value in alerts:
        if value["closed_at"]:
            ends[value["id"]].append(at.get((value["partition"], value["offset"])))
    for record, value in alerts:
        if value["event"] == "opened" and value["kind"] == "physiological":
            source = found[record.key]
            start = at[value["partition"], value["offset"]]
            end = ends[value["id"]].pop(0) if ends[value["id"]] else None
            source.spans.append((start, len(source.places) if end is None else end))
    return list(found.values())


def draw(summary: Summary, path: Path) -> None:
    """Write a PNG of the beats with the highest scores that opened an episode, each with its reconstruction."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - from the extra `trainer`

    figure = Figure(figsize=(14, 8), layout="constrained")
    for axes, alert in zip(figure.subplots(3, 4, sharex=True).flat, summary.worst, strict=False):
        samples, reconstruction = np.array(alert["samples"]), np.array(alert["reconstruction"])
        axes.fill_between(range(len(samples)), samples, reconstruction, color="tab:red", alpha=0.25, label="error")
        axes.plot(samples, color="black", linewidth=1.2, label="beat")
        axes.plot(reconstruction, color="tab:blue", linewidth=1.2, label="reconstruction")
        axes.set_title(
            f"{alert['source']}  score {alert['score']:.2f} (threshold {alert['threshold']:.2f})", fontsize=9
        )
    if summary.worst:
        figure.axes[0].legend(fontsize=8)
    figure.suptitle("The beats with the highest scores that opened an episode: normalised amplitude over sample number")
    figure.savefig(path, dpi=110)
