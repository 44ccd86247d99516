"""A review says what a monitor would have said, source by source."""

from __future__ import annotations

from functools import cache

import numpy as np
import orjson
import pytest

from monitor.alarms.episodes import Episodes
from monitor.alarms.threshold import ActiveThreshold, Thresholds
from monitor.pipeline.personal import PersonalJudge, episode_rule
from monitor.records.column import Column
from monitor.records.record import Records
from monitor.review import Review, ReviewParts, Tally, report
from monitor.review.annotated import AnnotatedCounts
from tests.pipeline.test_loop import AmplitudeScorer
from tests.pipeline.test_profiles import LEARNING, RUN, Ward, stream

KINDS = LEARNING + RUN + "VVVVVVFFFFFNNNNNN" + "N" * 30 + RUN
FACTS = report.ReviewFacts("ecg.beats", "…", "…", True, "model", 2.0, True, "run", "normal")


@cache
def live(kinds=KINDS):
    return tuple(Ward(kinds).judge_all().alerts())


def log(kinds):
    """The records of each partition: message and time."""
    return [[one for one in stream(kinds) if one[0].partition == partition] for partition in (0, 1)]


def batch(partition, first, rows):
    messages, times = zip(*rows, strict=True)
    return Records(
        "ecg.beats",
        np.full(len(rows), partition, np.int32),
        np.arange(first, first + len(rows)),
        np.array(times, np.int64),
        Column.of([one.key for one in messages]),
        Column.of([one.value for one in messages]),
        [()] * len(rows),
    )


def reviewed(kinds=KINDS, size=100, only=None, **changes):
    settings = Ward(kinds[:1], **changes).settings
    parts = ReviewParts(
        AmplitudeScorer(),
        Thresholds(ActiveThreshold(2.0, None), np.array([0.5, 1.0, 1.5])),
        Episodes(episode_rule(settings, profiles=True)),
        PersonalJudge(settings),
    )
    tally = Tally(settings.alerts_topic, 60_000, only)
    review = Review(parts, settings, "model-1", tally.add)
    review.begin({0: 0, 1: 0})
    for partition, rows in enumerate(log(kinds)):
        for first in range(0, len(rows), size):
            review.feed(batch(partition, first, rows[first : first + size]))
    review.end()
    return tally


@pytest.mark.parametrize("size", [7, 100, 5000])
def test_its_episodes_are_those_of_a_monitor_that_reads_the_same_beats(size):
    tally = reviewed(size=size)
    opened = {one["id"]: one for one in live() if one["event"] == "opened" and not one["reopened"]}
    assert tally.episodes.keys() == opened.keys()
    closed = {one["id"]: one["closed_at"] for one in live() if one["event"] == "closed"}
    for name, episode in tally.episodes.items():
        assert (episode.source, episode.opened_at) == (opened[name]["source"], opened[name]["opened_at"])
        assert episode.closed_at == closed.get(name)
        assert episode.openings == sum(one["id"] == name and one["event"] == "opened" for one in live())
    assert {one.kind for one in tally.episodes.values()} == {"physiological", "technical"}


def test_it_says_when_each_source_learned_its_profile_and_how_long_it_was_heard():
    tally = reviewed()
    assert sorted(tally.sources) == [b"bed 1", b"bed 2", b"bed 3"]
    elapsed = (tally.table["learned_ms"] - tally.table["first_ms"]) / 1000
    assert ((elapsed > 115) & (elapsed < 200)).all()
    assert (tally.table["beats"] == len(KINDS)).all()
    assert (tally.table["heard_ms"] == tally.table["last_ms"] - tally.table["first_ms"]).all()
    found = report.learned(tally.table)
    assert found.sources == 3
    assert found.first_at < found.last_at


def test_one_source_alone_is_counted_when_it_is_asked_for():
    tally = reviewed(only=b"bed 2")
    assert tally.sources == [b"bed 2"]
    assert {one.source for one in tally.episodes.values()} == {"bed 2"}
    assert int(tally.table["physiological"].sum()) == sum(
        one.kind == "physiological" for one in tally.episodes.values()
    )


def test_another_rule_and_another_sensitivity_find_something_else():
    assert reviewed(rule="k-of-n").episodes.keys() != reviewed().episodes.keys()


def test_the_report_names_the_rates_the_sources_with_most_and_that_nothing_is_labelled():
    tally = reviewed()
    text = "\n".join(report.lines(tally, FACTS, AnnotatedCounts()))
    assert "3 of 3 sources learned a profile from their first beats here" in text
    assert "an hour of a source (" in text
    assert "no beat that was judged is annotated (`publish --labels`): which episodes are false is not known" in text
    assert "bed 3" in text
    content = orjson.loads(report.as_json(tally, FACTS, AnnotatedCounts()))
    assert len(content["episodes"]) == content["physiological"]["episodes"] + content["technical"]["episodes"]
    low, value, high = (content["physiological"]["per_hour"][name] for name in ("low", "value", "high"))
    assert low <= value <= high
    assert [one["source"] for one in content["per_source"]] != []


def test_nothing_at_all_gives_no_rate():
    tally = Tally("ecg.alerts", 60_000)
    assert report.rate(tally, "physiological") is None
    assert "0 beats of 0 sources" in "\n".join(report.lines(tally, FACTS, AnnotatedCounts()))


def test_frequent_ectopy_is_told_apart_unless_a_run_came_in_it():
    tally = reviewed(LEARNING + "NV" * 10 + "N" * 160 + "NV" * 8 + "VVVV" + "NV" * 8 + "N" * 20)
    causes = orjson.loads(report.as_json(tally, FACTS, AnnotatedCounts()))["physiological"]["by_cause"]
    assert causes == {"frequent-ectopy": 3, "unusual-shape": 3}
    assert "of frequent ectopy alone 3" in "\n".join(report.lines(tally, FACTS, AnnotatedCounts()))
