"""What a run came to, read back from the topics and held against the labels that the monitor never saw."""

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

LONG_RUN = 5
RAISED_SHARE = 0.95
WORST = 12
Place = tuple[int, int]  # partition, offset


@dataclass(slots=True)
class SourceRuns:
    """One source: its labels and places in order, and the spans of beats in which an episode was open."""

    abnormal: list[bool] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def runs(self) -> Iterator[tuple[int, int]]:
        """First and last beat of each run of abnormal ones."""
        edges = np.diff(np.array([False, *self.abnormal, False], np.int8))
        yield from zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True)

    def raised(self, first: int, last: int) -> bool:
        return any(start <= last and end >= first for start, end in self.spans)

    def is_false(self, span: tuple[int, int], flagged: int, window: int) -> bool:
        """Whether an episode meets no run of abnormal beats long enough to open one."""
        start, end = span[0] + 1 - window, span[1]
        return not any(first <= end and last >= start for first, last in self.runs() if last - first + 1 >= flagged)


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of one run; latencies in seconds from the beat's timestamp to the alert's."""

    published: int
    scored: int
    lost: int
    doubled: int
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
        nothing_lost = self.lost == 0 and self.dead_letters == self.bad_published
        return nothing_lost and self.raised >= RAISED_SHARE * self.long_runs

    def text(self) -> str:
        missed = self.long_runs - self.raised
        rows = {
            "beats": f"{self.published:,} published, {self.scored:,} scored, {self.lost} lost, {self.doubled} twice",
            "bad records": f"{self.bad_published} published, {self.dead_letters} dead letters",
            "abnormal runs": f"{self.long_runs} of {LONG_RUN} or more beats: {self.raised} raised, {missed} missed",
            "episodes": f"{self.episodes} opened, {self.false_episodes} of them false",
            "single beats": f"precision {self.precision:.3f}, recall {self.recall:.3f}",
            "speed": f"{self.beats_per_second:,.0f} beats/s, as fast as they were published",
            "alert latency": f"p50 {1000 * self.latency_p50:.0f} ms, p99 {1000 * self.latency_p99:.0f} ms",
        }
        return "\n".join(["", *(f"{name:14} {row}" for name, row in rows.items())])


def collect(settings: Settings) -> Summary:
    """Read beats, scores, alerts and dead letters back. Raises BrokerError when one of them cannot be read."""
    beats = list(_read(settings, settings.beats_topic))
    labelled = {(record.partition, record.offset): record for record in beats if record.headers}
    scored = [(record, orjson.loads(record.value)) for record in _read(settings, settings.scores_topic)]
    verdicts = {(value["partition"], value["offset"]): bool(value["abnormal"]) for _, value in scored}
    alerts = [(record, orjson.loads(record.value)) for record in _read(settings, settings.alerts_topic)]
    courses = _courses(labelled, alerts)
    long_runs = [(course, run) for course in courses for run in course.runs() if run[1] - run[0] + 1 >= LONG_RUN]
    spans = [(course, span) for course in courses for span in course.spans]
    rule = (settings.episode_open, settings.episode_window)
    hits = sum(verdicts.get(place, False) and _is_abnormal(record) for place, record in labelled.items())
    latency = [record.timestamp / 1000 - _seconds(value["beat_time"]) for record, value in alerts]
    span_seconds = (max(record.timestamp for record, _ in scored) - min(record.timestamp for record in beats)) / 1000
    opened = [value for _, value in alerts if value["event"] == "opened" and value["reconstruction"]]
    return Summary(
        published=len(labelled),
        scored=len(verdicts),
        lost=len(labelled.keys() - verdicts.keys()),
        doubled=len(scored) - len(verdicts),
        bad_published=len(beats) - len(labelled),
        dead_letters=sum(1 for _ in _read(settings, settings.dead_letters_topic)),
        long_runs=len(long_runs),
        raised=sum(course.raised(*run) for course, run in long_runs),
        episodes=len(spans),
        false_episodes=sum(course.is_false(span, *rule) for course, span in spans),
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


def _courses(labelled: dict[Place, Any], alerts: list[tuple[Any, dict[str, Any]]]) -> list[SourceRuns]:
    courses: defaultdict[bytes, SourceRuns] = defaultdict(SourceRuns)
    at: dict[Place, int] = {}
    for place, record in sorted(labelled.items()):
        course = courses[record.key]
        at[place] = len(course.places)
        course.places.append(place)
        course.abnormal.append(_is_abnormal(record))
    ends = {value["id"]: at.get((value["partition"], value["offset"])) for _, value in alerts if value["closed_at"]}
    for record, value in alerts:
        if value["event"] == "opened" and value["kind"] == "physiological":
            course = courses[record.key]
            start = at[value["partition"], value["offset"]]
            end = ends.get(value["id"])
            course.spans.append((start, len(course.places) if end is None else end))
    return list(courses.values())


def draw(summary: Summary, path: Path) -> None:
    """One PNG: the beats with the highest scores that opened an episode, their reconstruction, the error shaded."""
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
    figure.axes[0].legend(fontsize=8)
    figure.suptitle("The worst beats that opened an episode: normalised samples over sample number")
    figure.savefig(path, dpi=110)
