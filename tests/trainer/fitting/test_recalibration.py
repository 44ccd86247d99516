"""`ecg-trainer calibrate`: a new threshold from one's own normal beats, the network untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.errors import RefusedError
from monitor.model import artifact
from trainer.commands import calibrate as recalibrate
from trainer.commands import ecg
from trainer.fitting.recipe import Recipe
from trainer.threshold.calibrate import Budget


@pytest.fixture
def trained(own_beats, tmp_path):
    path = tmp_path / "m"
    return path, ecg.main(own_beats(60, labels=False), ecg.Target(path), Recipe(epochs=2), "cpu")


def test_the_network_and_its_id_stay_and_the_threshold_is_that_of_the_new_beats(trained, own_beats, tmp_path):
    path, before = trained
    made = recalibrate.main(path, own_beats(150, 20, seed=6), tmp_path / "n", Budget(0.1, 0.8))
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
    recalibrate.main(trained[0], own_beats(150, seed=6), tmp_path / "n", Budget(0.1))
    found = recalibrate.main(tmp_path / "n", own_beats(800, seed=6), tmp_path / "n", Budget()).manifest
    assert found.threshold.false_alarm_rate == 0.02
    assert "false_alarm_rate_by_hand" not in found.training


def test_beats_that_the_model_was_fitted_on_are_refused(trained, own_beats, tmp_path):
    with pytest.raises(RefusedError, match="fitted on these beats"):
        recalibrate.main(trained[0], own_beats(60, labels=False), tmp_path / "n", Budget())
    assert not (tmp_path / "n").exists()


@pytest.fixture(scope="module")
def official(ecg_data, tmp_path_factory):
    """A model of ECG5000's 500 training beats."""
    path = tmp_path_factory.mktemp("official") / "m"
    ecg.main(ecg_data, ecg.Target(path), Recipe(epochs=1), "cpu")
    return path


@pytest.mark.parametrize("form", ["the training part", "its normal beats", "half of it", "all of it and more"])
def test_beats_that_it_was_fitted_on_are_known_in_another_form(official, ecg5000, tmp_path, form):
    learnt, more = ecg5000.train, ecg5000.test
    beats = {
        "the training part": np.column_stack([learnt.abnormal + 1, learnt.samples]),
        "its normal beats": learnt.normal_samples[::-1],
        "half of it": learnt.samples[: len(learnt) // 2],
        "all of it and more": np.concatenate([more.samples[:700], learnt.samples, more.samples[700:]]),
    }
    np.savetxt(tmp_path / "ECG5000_TRAIN.tsv", beats[form], delimiter="\t" if form == "the training part" else ",")
    with pytest.raises(RefusedError, match="fitted on these beats, or on some of them"):
        recalibrate.main(official, tmp_path / "ECG5000_TRAIN.tsv", tmp_path / "n", Budget())


def test_beats_that_it_never_saw_are_taken(official, ecg5000, tmp_path):
    np.savetxt(tmp_path / "new.csv", ecg5000.test.normal_samples[:200], delimiter=",")
    made = recalibrate.main(official, tmp_path / "new.csv", tmp_path / "n", Budget())
    assert made.manifest.threshold.normals == 200


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(RefusedError, match="/proc/none/n: cannot be written"):
        recalibrate.main(tmp_path / "no model", tmp_path / "no beats", Path("/proc/none/n"), Budget())


def test_too_few_normal_beats_are_refused(trained, own_beats, tmp_path):
    with pytest.raises(RefusedError, match="29 normal beats to calibrate on"):
        recalibrate.main(trained[0], own_beats(29, 40, seed=6), tmp_path / "n", Budget())


def test_the_command_says_what_the_threshold_means(trained, own_beats, tmp_path, command):
    words = ("--model", trained[0], "--data", own_beats(150, labels=False, seed=6), "--out", tmp_path / "n")
    done = command("calibrate", *words, "--false-alarm-rate", "0.01")
    assert done.returncode == 0, done.stderr
    assert "150 normal beats cannot support 1.0%" in done.stdout
    assert "false episodes (3 of 5) per source-hour" in done.stdout


def test_the_promise_holds_in_as_many_random_splits_as_it_says(ecg5000):
    """Held-out calibration on real beats; an exactly valid rule has 183 or more with 95 % chance at least."""
    from trainer.evaluation import evaluate  # noqa: PLC0415
    from trainer.threshold import calibrate  # noqa: PLC0415

    normals = np.concatenate([ecg5000.train.normal_samples, ecg5000.test.normal_samples])
    scores = evaluate.pca(normals[:292])(normals[292:])
    random = np.random.default_rng(0)
    kept = 0
    for _ in range(200):
        shuffled = random.permutation(scores)
        limit = calibrate.limit(np.sort(shuffled[:600]), Budget(0.05, 0.95))
        kept += (shuffled[600:] > np.float32(limit.value)).mean() <= limit.false_alarm_rate
    assert kept >= 183
