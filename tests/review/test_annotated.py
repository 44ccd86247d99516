"""Annotations that beats carry tell which alarms of a period are false, and which runs were found."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from monitor.alarms.episodes import Episodes
from monitor.alarms.threshold import ActiveThreshold, Thresholds
from monitor.pipeline.personal import PersonalJudge, episode_rule
from monitor.review import Review, ReviewParts, report
from monitor.review.annotated import AnnotatedRuns
from monitor.review.tally import Tally
from tests.pipeline.test_loop import AmplitudeScorer
from tests.pipeline.test_profiles import LEARNING, Ward
from tests.review.test_review import FACTS, batch, log

CALM = "N" * 30
KINDS = LEARNING + CALM + "VVVVVV" + CALM + "VVV" + CALM + "NVNVNVNVNVNVNV" + CALM


def counted(symbols=KINDS, size=100, only=None):
    """Beats of three sources, of which two are annotated with these symbols; `.` is no annotation."""
    settings = Ward("N").settings
    rule = episode_rule(settings, profiles=True)
    parts = ReviewParts(
        AmplitudeScorer(),
        Thresholds(ActiveThreshold(2.0, None), np.array([0.5, 1.0, 1.5])),
        Episodes(rule),
        PersonalJudge(settings),
    )
    annotated, seen = AnnotatedRuns(rule, has_profiles=True, only=only), {}
    review = Review(parts, settings, "model-1", annotated.add)
    review.begin({0: 0, 1: 0})
    for partition, rows in enumerate(log(KINDS)):
        for first in range(0, len(rows), size):
            records = batch(partition, first, rows[first : first + size])
            headers = []
            for message, _ in rows[first : first + size]:
                number = seen[message.key] = seen.get(message.key, -1) + 1
                symbol = symbols[number].replace(".", "") if message.key != b"bed 3" else ""
                headers.append((("noise", b"x"), ("annotation", symbol.encode())) if symbol else ())
            records = replace(records, headers=headers)
            annotated.note(records)
            review.feed(records)
    review.end()
    return annotated.counts


@pytest.mark.parametrize("size", [7, 100, 5000])
def test_runs_and_false_episodes_are_counted_of_annotated_sources_after_they_have_learned(size):
    found = counted(size=size)
    assert (found.sources, found.episodes, found.false) == (2, 2, 0)
    assert (found.runs, found.found, found.long_runs, found.long_found) == (4, 4, 2, 2)
    assert 2 * 140 < found.beats < 2 * (len(KINDS) - 120)
    assert found.hours == pytest.approx(0.8 * found.beats / 3600, rel=0.1)
    assert astuple(found) == astuple(counted(size=size + 1))


def test_an_episode_without_an_annotated_run_is_false_and_a_run_without_an_episode_is_missed():
    symbols = LEARNING + CALM + "N" * 6 + CALM + "N" * 3 + "N" * 10 + "VVVV" + "N" * (len(KINDS) - len(LEARNING) - 83)
    found = counted(symbols)
    assert (found.episodes, found.false, found.runs, found.found) == (2, 2, 2, 0)


def test_beats_without_an_annotation_do_not_end_a_run():
    symbols = LEARNING + CALM + "VV..VV" + KINDS[len(LEARNING) + 36 :]
    assert counted(symbols).runs == 4


def test_one_source_alone_is_counted_when_it_is_asked_for():
    assert (counted(only=b"bed 1").sources, counted(only=b"bed 3").sources) == (1, 0)


def test_the_report_says_what_the_annotations_come_to():
    tally = Tally("ecg.alerts", 60_000)
    text = "\n".join(report.lines(tally, FACTS, counted()))
    assert "of 2 sources" in text
    assert "2 episodes, of which 0 false, 0.00 an hour" in text
    assert "runs of 3 and more found: 4 of 4; of 5 and more: 2 of 2" in text
    assert b'"long_found":2' in report.as_json(tally, FACTS, counted()).encode()
