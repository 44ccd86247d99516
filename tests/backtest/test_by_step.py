"""A recording through the step of the monitor."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from monitor.backtest import BacktestPlan, backtest
from monitor.backtest.by_step import StepPlan, backtest_by_step
from monitor.beats.window import R_CENTRED
from monitor.model.manifest import WindowSpec
from monitor.model.scorer import Scorer
from monitor.recordings import Segmenter, open_recording
from monitor.recordings.segmenter import joined
from monitor.settings import Settings
from tests import models
from tests.backtest import made_up

RUN = made_up.LEARNED + "VVVVV" + "N" * 20


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path, _ = made_up.write(tmp_path_factory.mktemp("records"), "run", RUN)
    return open_recording(path)


def judged(recording, **changes):
    whole = models.model()
    window = WindowSpec(140, None, "a ward", *astuple(R_CENTRED))
    model = replace(whole, manifest=replace(whole.manifest, window=window))
    return backtest_by_step(recording, StepPlan(Settings(profile_seconds=120, **changes), model))


def test_the_rule_run_counts_what_the_profile_alone_counts(recording):
    alone, by_step = backtest(recording, BacktestPlan(("normal",), 120.0)), judged(recording)
    assert by_step.counted == alone.counted
    assert [one.stretches[0].start for one in by_step.episodes] == pytest.approx(
        [one.stretches[0].start for one in alone.episodes], abs=0.001
    )
    assert (by_step.beats, by_step.is_learned, by_step.is_sick) == (alone.beats, True, False)


def test_with_k_of_n_the_threshold_decides(recording):
    segmenter = Segmenter(recording.hz)
    beats = joined([segmenter.feed(recording.samples), segmenter.finish()])
    scores = Scorer(models.model(), "cpu", 512).score(beats.samples).score
    some, none = (judged(recording, rule="k-of-n", threshold=one) for one in (np.nanquantile(scores, 0.6), 1e9))
    assert some.counted[0].episodes > 0
    assert none.counted[0].episodes == 0
    assert some.counted[0].hours == none.counted[0].hours


def test_a_threshold_that_most_beats_exceed_is_that_of_a_model_that_does_not_know_the_lead(recording):
    assert judged(recording, rule="k-of-n", threshold=1e-9).counted[0].episodes == 0
