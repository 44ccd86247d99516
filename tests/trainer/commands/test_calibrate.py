"""`ecg-trainer calibrate` as a person runs it."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.model import artifact
from trainer.commands import ecg
from trainer.fitting.preparation import prepared
from trainer.fitting.recipe import Recipe


@pytest.fixture
def trained(own_beats, tmp_path):
    """A model of a person's own beats."""
    ecg.train(prepared(own_beats(60, labels=False)), tmp_path / "m", Recipe(epochs=2), "cpu")
    return tmp_path / "m"


def test_the_command_explains_the_threshold(trained, own_beats, tmp_path, command):
    words = ("--model", trained, "--data", own_beats(150, labels=False, seed=6), "--out", tmp_path / "n")
    done = command("calibrate", *words, "--false-alarm-rate", "0.02")
    assert done.returncode == 0, done.stderr
    assert "At most 2.0% of normal beats are flagged by mistake" in done.stdout
    assert "false alarms per patient per hour, assuming independent errors" in done.stdout


def test_a_rate_that_the_beats_cannot_support_is_refused(trained, own_beats, tmp_path, command):
    words = ("--model", trained, "--data", own_beats(150, labels=False, seed=6), "--out", tmp_path / "n")
    done = command("calibrate", *words, "--false-alarm-rate", "0.001")
    assert done.returncode == 2
    assert "150 normal beats cannot support a false-alarm rate of 0.001 with confidence 0.9" in done.stderr
    assert "the smallest that they support is 0.016" in done.stderr
    assert not (tmp_path / "n").exists()


def test_recall_on_labelled_abnormal_beats_is_printed(trained, own_beats, tmp_path, command):
    done = command("calibrate", "--model", trained, "--data", own_beats(150, 20, seed=6), "--out", tmp_path / "n")
    assert "recall: 1.0000 (20 of 20 labelled abnormal beats lie above the new threshold)" in done.stdout
    assert done.stderr == ""


@pytest.fixture
def strange(tmp_path):
    """Beats that a model of bumps does not know, and upright bumps labelled abnormal."""
    time, random = np.arange(140), np.random.default_rng(3)
    waves = np.sin(time / random.uniform(3, 12, (150, 1))) + random.normal(0, 0.05, (150, 140))
    bumps = np.exp(-0.5 * ((time - 60) / 12) ** 2) + random.normal(0, 0.02, (20, 140))
    rows = np.column_stack([np.vstack([waves, bumps]), np.arange(170) < 150])
    np.savetxt(tmp_path / "strange.csv", rows, delimiter=",", fmt="%.6g")
    return tmp_path / "strange.csv"


def test_beats_that_the_model_does_not_know_are_refused_unless_forced(trained, strange, tmp_path, command):
    words = ("--model", trained, "--data", strange, "--out", tmp_path / "n")
    done = command("calibrate", *words)
    assert done.returncode == 2
    assert "of these normal beats lie above the model's threshold" in done.stderr
    assert "train on them instead (`ecg-trainer ecg`), or give --force" in done.stderr
    assert not (tmp_path / "n").exists()
    done = command("calibrate", *words, "--force")
    assert done.returncode == 0
    assert "written because of --force" in done.stderr
    assert "recall: 0.0000 (0 of 20 labelled abnormal beats" in done.stdout
    assert "warning: only 0.0% of the beats labelled abnormal are found" in done.stderr


def test_repeated_beats_count_once(trained, own_beats, tmp_path, command):
    rows = np.loadtxt(own_beats(150, labels=False, seed=6), delimiter=",")
    np.savetxt(tmp_path / "five.csv", np.tile(rows, (5, 1)), delimiter=",", fmt="%.6g")
    for name in ("own.csv", "five.csv"):
        words = ("--model", trained, "--data", tmp_path / name, "--out", tmp_path / f"{name}.model")
        done = command("calibrate", *words)
    assert "600 of 750 calibration beats repeat another one" in done.stdout
    ours, five = (artifact.load(tmp_path / f"{name}.model", "cpu").manifest for name in ("own.csv", "five.csv"))
    assert five.threshold == ours.threshold
    assert five.calibration == ours.calibration
