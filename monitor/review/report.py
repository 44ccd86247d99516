"""What a review found, as lines and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson

from monitor.alarms.rule import FREQUENT_ECTOPY, KINDS, PHYSIOLOGICAL_CAUSES
from monitor.alarms.run_rule import PRIORITIES
from monitor.records.record import record_time
from monitor.review.tally import OTHERS
from monitor.terminal import count_of, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.alarms.rule import Kind
    from monitor.review.annotated import AnnotatedCounts
    from monitor.review.tally import Tally

HOUR_MS = 3_600_000
FREQUENT = PHYSIOLOGICAL_CAUSES[FREQUENT_ECTOPY - 1]
SHOWN_SOURCES, LISTED_SOURCES = 20, 10_000  # in the table, and in JSON: those with most episodes
SAMPLES, MOST_CHOICES = 2000, 20_000_000  # of the bootstrap, and the sources that it chooses in all
HEADS = ("beats", "hours", "physiological", "an hour", "technical", "learned at")


class Rate(NamedTuple):
    """Episodes an hour of a source, with the 5th and 95th percentile of a bootstrap over sources."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SourceReview:
    """One source. Times are RFC 3339."""

    source: str | None  # None: all that were too many to be counted by themselves
    beats: int
    hours: float  # between its first and its last beat, without silences
    from_time: str | None
    to_time: str | None
    learned_at: str | None  # None where it has no profile
    was_sick: bool  # while it learned
    physiological: int
    technical: int


def rate(tally: Tally, kind: Kind, seed: int = 0) -> Rate | None:
    """Episodes of this kind an hour of a source; None where no time has passed."""
    count, hours = tally.table[kind].astype(np.float64), tally.table["heard_ms"] / HOUR_MS
    if not hours.sum():
        return None
    random = np.random.default_rng(seed)
    values = []
    for _ in range(max(100, min(SAMPLES, MOST_CHOICES // len(count)))):
        chosen = random.integers(len(count), size=len(count))
        values.append(count[chosen].sum() / max(hours[chosen].sum(), 1e-9))
    low, high = np.quantile(values, [0.05, 0.95])
    return Rate(float(count.sum() / hours.sum()), float(low), float(high))


def with_most(tally: Tally, limit: int) -> list[SourceReview]:
    """The sources with most physiological episodes, then with most technical ones."""
    table, names = tally.table, tally.sources
    order = np.lexsort((table["technical"], table["physiological"]))[::-1][:limit]
    return [_source(names[row], table[row]) for row in order.tolist()]


def _source(name: bytes, row: np.void) -> SourceReview:
    return SourceReview(
        None if name == OTHERS else name.decode(),
        int(row["beats"]),
        float(row["heard_ms"]) / HOUR_MS,
        record_time(int(row["first_ms"])),
        record_time(int(row["last_ms"])),
        record_time(int(row["learned_ms"])),
        bool(row["is_sick"]),
        int(row["physiological"]),
        int(row["technical"]),
    )


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """What was judged, and by what. Times are RFC 3339."""

    topic: str
    from_time: str
    to_time: str
    is_complete: bool  # else it was ended early
    model: str
    threshold: float  # of the population score, for sources that have none of their own
    has_profiles: bool
    rule: str
    sensitivity: str


def lines(tally: Tally, facts: ReviewFacts, annotated: AnnotatedCounts) -> list[str]:
    """The result for people."""
    hours = tally.table["heard_ms"].sum() / HOUR_MS
    beats, sources = int(tally.table["beats"].sum()), len(tally.sources)
    rule = f"rule {facts.rule}, sensitivity {facts.sensitivity}" if facts.has_profiles else "rule k-of-n"
    said = [f"{facts.topic} from {facts.from_time} to {facts.to_time}"]
    said.append(f"{rule}, model {facts.model}, threshold {facts.threshold:g}")
    said.append(f"{count_of(beats, 'beat')} of {count_of(sources, 'source')}, {hours:,.2f} h of sources")
    if tally.rejected:
        said[-1] += f"; {count_of(tally.rejected, 'record')} that are not beats"
    said += [_learned(tally) if facts.has_profiles else "judged by the population score alone: no profiles are used"]
    said += [_line(tally, kind) for kind in KINDS]
    said += _annotated(annotated)
    shown = [one for one in with_most(tally, SHOWN_SOURCES) if one.physiological or one.technical]
    return [*said, "", *_rows(shown, sources)] if shown else said


def _annotated(one: AnnotatedCounts) -> list[str]:
    """What the annotations of beats say about the alarms."""
    if not one.beats:
        return ["no beat that was judged is annotated (`publish --labels`): which episodes are false is not known"]
    beats, sources = count_of(one.beats, "annotated beat"), count_of(one.sources, "source")
    rate = f", {one.false / one.hours:.2f} an hour" if one.hours else ""
    episodes = f"{count_of(one.episodes, 'episode')}, of which {one.false} false{rate}"
    return [
        f"{beats} of {sources}, {one.hours:.2f} h, learning and frequent ectopy left out: {episodes}",
        f"runs of 3 and more found: {one.found} of {one.runs}; of 5 and more: {one.long_found} of {one.long_runs}",
    ]


class LearnedSources(NamedTuple):
    """The sources that learned a profile. Times are RFC 3339, None without any."""

    sources: int
    first_at: str | None
    half_at: str | None  # by then half of them had learned it
    last_at: str | None
    sick: int  # while they learned


def learned(table: NDArray[np.void]) -> LearnedSources:
    """How many sources were judged by their profiles, and from when."""
    times = np.sort(table["learned_ms"][table["learned_ms"] >= 0])
    places = (0, (len(times) - 1) // 2, -1) if len(times) else ()
    first, half, last = [record_time(int(times[at])) for at in places] or (None, None, None)
    return LearnedSources(len(times), first, half, last, int(table["is_sick"].sum()))


def _learned(tally: Tally) -> str:
    found = learned(tally.table)
    said = f"{found.sources:,} of {count_of(len(tally.table), 'source')} learned a profile from their first beats here"
    if not found.sources:
        return f"{said}: the population score judged all of them"
    return (
        f"{said} and were judged by it then: the first from {found.first_at} on, half of them from {found.half_at}, "
        f"the last from {found.last_at}; {found.sick:,} were sick while they learned"
    )


def _line(tally: Tally, kind: Kind) -> str:
    table, found = tally.table, rate(tally, kind)
    episodes, sources = int(table[kind].sum()), int((table[kind] > 0).sum())
    said = f"{kind}: {count_of(episodes, 'episode')} of {count_of(sources, 'source')}"
    if found is not None:
        said += f", {found.value:.2f} an hour of a source ({found.low:.2f}-{found.high:.2f})"
    by_priority = [f"{name} {tally.priorities[kind, name]:,}" for name in reversed(PRIORITIES)]
    ectopy = _causes(tally, kind)[FREQUENT]
    by_priority += [f"of frequent ectopy alone {ectopy:,}"] if ectopy else []
    return f"{said}; {', '.join(by_priority)}" if table[kind].any() else said


def _causes(tally: Tally, kind: Kind) -> Counter[str]:
    """Causes of the episodes of this kind that are kept."""
    return Counter(one.cause for one in tally.episodes.values() if one.kind == kind)


def _rows(shown: list[SourceReview], sources: int) -> list[str]:
    """A table of these sources."""
    cells = [("source", *HEADS), *map(_cells, shown)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([f"{name:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))])
        for name, *rest in cells
    ]
    left = sources - len(shown)
    return [*lines, f"and {count_of(left, 'source')} with as many or fewer"] if left else lines


def _cells(one: SourceReview) -> tuple[str, ...]:
    an_hour = f"{one.physiological / one.hours:.2f}" if one.hours else "-"
    name = "(others)" if one.source is None else printable(one.source)
    counts = f"{one.beats:,}", f"{one.hours:.2f}", f"{one.physiological:,}", an_hour, f"{one.technical:,}"
    return (name, *counts, one.learned_at or "-")


def as_json(tally: Tally, facts: ReviewFacts, annotated: AnnotatedCounts) -> str:
    """The result as one object of JSON."""
    content: dict[str, object] = {
        **asdict(facts),
        "beats": int(tally.table["beats"].sum()),
        "rejected": tally.rejected,
        "sources": len(tally.sources),
        "hours": float(tally.table["heard_ms"].sum() / HOUR_MS),
        "learned": learned(tally.table)._asdict(),
        **{kind: _kind(tally, kind) for kind in KINDS},
        "per_source": [asdict(one) for one in with_most(tally, LISTED_SOURCES)],
        "annotated": asdict(annotated) if annotated.beats else None,
        "episodes": [asdict(one) for one in tally.episodes.values()],
        "episodes_left_out": tally.left_out,
    }
    return orjson.dumps(content).decode()


def _kind(tally: Tally, kind: Kind) -> dict[str, object]:
    """The episodes of one kind, as an object of JSON."""
    found = rate(tally, kind)
    return {
        "episodes": int(tally.table[kind].sum()),
        "per_hour": None if found is None else found._asdict(),
        "by_cause": _causes(tally, kind),
        "by_priority": {name: tally.priorities[kind, name] for name in PRIORITIES},
    }
