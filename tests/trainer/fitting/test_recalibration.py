"""A new threshold from other normal beats; the network stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.errors import RefusedError
from monitor.model import artifact
from trainer.commands import ecg
from trainer.fitting import recalibration
from trainer.fitting.preparation import prepared
from trainer.fitting.recalibration import Recalibration
from trainer.fitting.recipe import Recipe
from trainer.threshold.conformal import Budget


@pytest.fixture
def trained(own_beats, tmp_path):
    path = tmp_path / "m"
    return path, ecg.train(prepared(own_beats(60, labels=False)), path, Recipe(epochs=2), "cpu")


def test_the_network_and_its_id_stay_and_the_threshold_is_that_of_the_new_beats(trained, own_beats, tmp_path):
    path, before = trained
    made = recalibration.recalibrate(path, Recalibration(own_beats(150, 20, seed=6), Budget(0.1, 0.8)), tmp_path / "n")
    after = artifact.load(tmp_path / "n", "cpu")
    assert after.manifest.model_id == before.manifest.model_id
    assert (after.tensors()["network.0.weight"] == before.tensors()["network.0.weight"]).all()
    found = after.manifest.threshold
    assert (found.normals, found.false_alarm_rate, found.confidence) == (150, 0.1, 0.8)
    assert found.value == made.manifest.calibration[-found.rank] != before.manifest.threshold.value
    assert "held-out" in found.rule
    assert after.manifest.training["calibrated_on"] == "own.csv"
    assert after.manifest.training["false_alarm_rate_by_hand"] == 1


def test_without_a_budget_by_hand_the_number_of_beats_decides(trained, own_beats, tmp_path):
    recalibration.recalibrate(trained[0], Recalibration(own_beats(150, seed=6), Budget(0.1)), tmp_path / "n")
    found = recalibration.recalibrate(
        tmp_path / "n", Recalibration(own_beats(800, seed=6), Budget()), tmp_path / "n"
    ).manifest
    assert found.threshold.false_alarm_rate == 0.02
    assert "false_alarm_rate_by_hand" not in found.training


def test_beats_that_the_model_was_fitted_on_are_refused(trained, own_beats, tmp_path):
    with pytest.raises(RefusedError, match="trained on these beats"):
        recalibration.recalibrate(trained[0], Recalibration(own_beats(60, labels=False), Budget()), tmp_path / "n")
    assert not (tmp_path / "n").exists()


@pytest.fixture(scope="module")
def official(ecg_data, tmp_path_factory):
    """A model of ECG5000's 500 training beats."""
    path = tmp_path_factory.mktemp("official") / "m"
    ecg.train(prepared(ecg_data), path, Recipe(epochs=1), "cpu")
    return path


@pytest.mark.parametrize("form", ["the training part", "its normal beats", "half of it", "all of it and more"])
def test_beats_that_it_was_fitted_on_are_known_in_another_form(official, ecg5000, tmp_path, form):
    train, more = ecg5000.train, ecg5000.test
    beats = {
        "the training part": np.column_stack([train.abnormal + 1, train.samples]),
        "its normal beats": train.normal_samples[::-1],
        "half of it": train.samples[: len(train) // 2],
        "all of it and more": np.concatenate([more.samples[:700], train.samples, more.samples[700:]]),
    }
    np.savetxt(tmp_path / "ECG5000_TRAIN.tsv", beats[form], delimiter="\t" if form == "the training part" else ",")
    with pytest.raises(RefusedError, match="trained on these beats, or on some of them"):
        recalibration.recalibrate(official, Recalibration(tmp_path / "ECG5000_TRAIN.tsv", Budget()), tmp_path / "n")


def test_beats_that_it_never_saw_are_taken(official, ecg5000, tmp_path):
    np.savetxt(tmp_path / "new.csv", ecg5000.test.normal_samples[:200], delimiter=",")
    made = recalibration.recalibrate(official, Recalibration(tmp_path / "new.csv", Budget()), tmp_path / "n")
    assert made.manifest.threshold.normals == 200


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(RefusedError, match="/proc/none/n: cannot be written"):
        recalibration.recalibrate(
            tmp_path / "no model", Recalibration(tmp_path / "no beats", Budget()), Path("/proc/none/n")
        )


def test_too_few_normal_beats_are_refused(trained, own_beats, tmp_path):
    with pytest.raises(RefusedError, match="29 distinct normal beats to calibrate on"):
        recalibration.recalibrate(trained[0], Recalibration(own_beats(29, 40, seed=6), Budget()), tmp_path / "n")
