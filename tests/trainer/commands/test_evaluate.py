"""`ecg-trainer evaluate` as a person runs it."""

from __future__ import annotations

import numpy as np
import pytest


def rows_of(part):
    """In ECG5000's own form, the class first."""
    return np.column_stack([part.abnormal + 1, part.samples])


@pytest.mark.slow
def test_the_command_prints_the_figures_and_how_the_thresholds_were_chosen(quick_model, ecg_data, command):
    done = command("evaluate", "--model", quick_model[0], "--data", ecg_data)
    assert done.returncode == 0, done.stderr
    assert "R-on-T PVC" in done.stdout
    assert "Thresholds: a false-alarm budget (5.0%, confidence 0.9)" in done.stdout


@pytest.mark.slow
def test_beats_that_are_cut_in_another_way_are_named(quick_model, ecg5000, tmp_path, command):
    for name, part in (("TRAIN", ecg5000.train), ("TEST", ecg5000.test.only(slice(2500, 2700)))):
        rows = np.column_stack([part.abnormal + 1, np.roll(part.samples, 45, axis=1)])
        np.savetxt(tmp_path / f"ECG5000_{name}.tsv", rows, delimiter="\t")
    done = command("evaluate", "--model", quick_model[0], "--data", tmp_path)
    assert "It expects beats that are cut so: from R to R, stretched to 140 samples" in done.stderr


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_evaluated(quick_model, ecg_data, command):
    done = command("evaluate", "--model", quick_model[0], "--data", ecg_data, "--json", "/proc/none.json")
    assert done.returncode == 2
    assert done.stderr == "error: /proc/none.json: cannot be written: No such file or directory\n"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("text", "line 1 has 2 columns"),
        ("few", "2 distinct normal beats to train on, but at least 30 are needed"),
        ("abnormal", "0 distinct normal beats to train on, but at least 30 are needed"),
    ],
)
def test_beats_that_cannot_be_trained_on_are_refused_in_one_sentence(
    quick_model, ecg5000, tmp_path, command, part, message
):
    train, test = ecg5000.train, ecg5000.test.only(slice(2600, 2700))
    beats = {"few": train.only(np.cumsum(~train.abnormal) < 3), "abnormal": train.only(train.abnormal)}
    if part == "text":
        (tmp_path / "ECG5000_TRAIN.tsv").write_text("no beats\n")
    else:
        np.savetxt(tmp_path / "ECG5000_TRAIN.tsv", rows_of(beats[part]), delimiter="\t")
    np.savetxt(tmp_path / "ECG5000_TEST.tsv", rows_of(test), delimiter="\t")
    done = command("evaluate", "--model", quick_model[0], "--data", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert message in done.stderr


def test_a_model_that_flags_nearly_every_normal_beat_is_remarked_on(quick_model, own_beats, command):
    done = command("evaluate", "--model", quick_model[0], "--data", own_beats(150, 40))
    assert done.returncode == 0, done.stderr
    assert "100.0% of the beats labelled normal are flagged: the model does not know such beats" in done.stderr
