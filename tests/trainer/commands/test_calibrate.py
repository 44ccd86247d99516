"""`ecg-trainer calibrate` as a person runs it."""

from __future__ import annotations

import pytest

from trainer.commands import ecg
from trainer.fitting.recipe import Recipe


@pytest.fixture
def trained(own_beats, tmp_path):
    """A model of a person's own beats."""
    ecg.train(own_beats(60, labels=False), tmp_path / "m", Recipe(epochs=2), "cpu")
    return tmp_path / "m"


def test_the_command_explains_the_threshold(trained, own_beats, tmp_path, command):
    words = ("--model", trained, "--data", own_beats(150, labels=False, seed=6), "--out", tmp_path / "n")
    done = command("calibrate", *words, "--false-alarm-rate", "0.01")
    assert done.returncode == 0, done.stderr
    assert "150 normal beats cannot support 1.0%" in done.stdout
    assert "false alarms per patient per hour, assuming independent errors" in done.stdout
