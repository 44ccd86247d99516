"""A recording through the step of the monitor."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from monitor.backtest import BacktestPlan, StepPlan, StepPlayer, backtest
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


def plan(**changes):
    """Without a model."""
    return BacktestPlan(step=StepPlan(Settings(profile_seconds=120, **changes)))


def judged(recording, **changes):
    whole = models.model()
    window = WindowSpec(140, None, "a ward", *astuple(R_CENTRED))
    model = replace(whole, manifest=replace(whole.manifest, window=window))
    return backtest(recording, BacktestPlan(step=StepPlan(Settings(profile_seconds=120, **changes), model)))


def beats_of(recording):
    segmenter = Segmenter(recording.hz)
    return joined([segmenter.feed(recording.samples), segmenter.finish()])


def test_with_a_model_the_rule_run_counts_what_the_profile_alone_counts(recording):
    alone, by_both = backtest(recording, plan()), judged(recording)
    assert by_both == replace(alone, path=by_both.path)
    assert (alone.is_learned, alone.is_sick, alone.templates) == (True, False, 1)
    assert alone.kept > 0.9


def test_with_k_of_n_the_threshold_decides(recording):
    scores = Scorer(models.model(), "cpu", 512).score(beats_of(recording).samples).score
    some, none = (judged(recording, rule="k-of-n", threshold=one) for one in (np.nanquantile(scores, 0.6), 1e9))
    assert some.counted[0].episodes > 0
    assert none.counted[0].episodes == 0
    assert some.counted[0].hours == none.counted[0].hours


def test_a_threshold_that_most_beats_exceed_is_that_of_a_model_that_does_not_know_the_lead(recording):
    assert judged(recording, rule="k-of-n", threshold=1e-9).counted[0].episodes == 0


def test_frequent_ectopy_is_counted_apart_from_runs(tmp_path):
    kinds = made_up.LEARNED + "NV" * 10 + "VVVV" + "NV" * 10 + "N" * 20
    result = backtest(open_recording(made_up.write(tmp_path, "ectopy", kinds)[0]), plan())
    (run,), (ectopy,) = result.episodes, result.ectopy
    assert (result.counted[0].found, result.counted[0].false, len(run.stretches)) == (1, 0, 1)
    assert ectopy.priority == "low"
    assert ectopy.stretches[0].start < run.stretches[0].start < run.stretches[0].end < ectopy.stretches[-1].end


def test_a_beat_that_no_model_can_score_is_not_observed(recording):
    beats = beats_of(recording)
    flat = replace(beats, samples=np.where(np.arange(len(beats))[:, None] == 190, 0, beats.samples).astype(np.float32))
    pieces = [StepPlayer(plan().step).feed(one) for one in (beats, flat)]
    assert [np.isnan(one.scores[190]) for one in pieces] == [False, True]
    assert pieces[1].flags.unscorable[190] > 0
