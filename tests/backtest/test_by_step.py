"""A recording through the step of the monitor."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest

from monitor.backtest import BacktestPlan, backtest
from monitor.backtest.by_step import StepPlan, backtest_by_step
from monitor.beats.window import R_CENTRED
from monitor.model.manifest import WindowSpec
from monitor.recordings import open_recording
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
    every, none = judged(recording, rule="k-of-n", threshold=1e-9), judged(recording, rule="k-of-n", threshold=1e9)
    assert every.longest_seconds > 10
    assert every.counted[0].found == 1
    assert none.counted[0].episodes == 0
    assert every.counted[0].hours == none.counted[0].hours
