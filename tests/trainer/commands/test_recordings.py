"""`ecg-trainer` on recordings, as a person runs it: train, report, evaluate, calibrate."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monitor.beats.window import R_CENTRED
from monitor.model import artifact
from tests.trainer import recordings as made
from trainer.commands import ecg
from trainer.data import reading
from trainer.fitting.preparation import prepared
from trainer.fitting.recipe import Recipe


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Six annotated people; the last one's beats are unlike the others'."""
    folder = tmp_path_factory.mktemp("people")
    for number, name in enumerate("abcdef"):
        made.write(folder, name, width=4.0 if name == "f" else 1 + 0.1 * number)
    return folder


@pytest.fixture(scope="session")
def others(tmp_path_factory):
    """Two other people, annotated."""
    folder = tmp_path_factory.mktemp("others")
    for name, width in (("x", 1.15), ("y", 1.35)):
        made.write(folder, name, width=width, seconds=70)
    return folder


@pytest.fixture(scope="session")
def population(people, tmp_path_factory):
    """A model of the six people with its report."""
    folder = tmp_path_factory.mktemp("population")
    ecg.train(prepared(people), folder / "m", Recipe(epochs=10), "cpu", report=folder / "report")
    return folder


def test_the_model_says_how_its_beats_are_cut(population):
    manifest = artifact.load(population / "m", "cpu").manifest
    assert manifest.window.cut == R_CENTRED
    assert manifest.window.source.startswith("6 people, 6 recordings, 6 leads (MLII 6)")
    assert 48 <= manifest.data.abnormals <= 54


def test_the_threshold_promises_something_about_new_people(population):
    threshold = artifact.load(population / "m", "cpu").manifest.threshold
    assert threshold.rule.startswith("false-alarm budget for new people")
    assert threshold.confidence == pytest.approx(6 / 7)
    assert "6 people are too few for confidence 0.9" in threshold.note


def test_each_patient_is_evaluated_by_the_others(population):
    evaluation = artifact.load(population / "m", "cpu").manifest.evaluation
    assert evaluation.split == "each patient by networks and thresholds of the other patients"
    assert [row.detector for row in evaluation.rows] == ["autoencoder", "PCA-4", "1-NN"]
    assert evaluation.rows[0].auc > 0.9


def test_the_report_shows_each_patient(population):
    page = (population / "report" / "index.html").read_text()
    for text in ("6 people, 6 recordings, 6 leads (MLII 6), 0.1 hours", "Patient by patient", "V AUC", "of 6 patients"):
        assert text in page
    assert "in the worst: measured on 6 people" in page
    assert "assuming independent errors" not in page
    assert "At the threshold that the other patients give for each one" in page
    assert "At the model's threshold" not in page
    assert ">threshold</th>" not in page
    assert (population / "report" / "patients.png").stat().st_size > 5000


def test_evaluate_shows_other_people_one_by_one(command, population, others, tmp_path):
    done = command("evaluate", "--model", population / "m", "--data", others, "--json", tmp_path / "j", "--sweep")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "j").read_text())
    assert [each["patient"] for each in found["patients"]] == ["x", "y"]
    assert all(each["ventricular_auc"] > 0.9 for each in found["patients"])
    assert "Normal beats flagged, by patient: median" in done.stdout


def test_evaluate_refuses_the_people_that_the_model_learnt_from(command, population, people):
    done = command("evaluate", "--model", population / "m", "--data", people)
    assert (done.returncode, "use beats that are new to it" in done.stderr) == (2, True)


def test_a_model_of_other_windows_is_refused(command, model_file, others):
    done = command("evaluate", "--model", model_file, "--data", others)
    assert (done.returncode, "but the model takes beats cut from R to R" in done.stderr) == (2, True)


def test_a_split_of_recordings_is_refused(command, population, others):
    done = command("evaluate", "--model", population / "m", "--data", others, "--split", "official")
    assert (done.returncode, "are for ECG5000" in done.stderr) == (2, True)


def test_calibrate_takes_recordings(command, population, others, tmp_path):
    done = command("calibrate", "--model", population / "m", "--data", others, "--out", tmp_path / "ward")
    assert done.returncode == 0, done.stderr
    threshold = artifact.load(tmp_path / "ward", "cpu").manifest.threshold
    assert threshold.rule == "false-alarm budget for new people, by the shares of held-out people"
    assert "estimate" not in done.stdout


def test_one_recording_makes_a_model_of_one_person(command, people, tmp_path):
    done = command("ecg", "--data", people / "a.hea", "--lead", "V5", "--out", tmp_path / "m", "--quick")
    assert done.returncode == 0, done.stderr
    manifest = artifact.load(tmp_path / "m", "cpu").manifest
    assert manifest.threshold.rule.startswith("false-alarm budget, conformal rank")
    assert "nothing here says how the model does on other people" in done.stdout


def test_beats_set_aside_are_shown_and_not_learnt(tmp_path, capsys):
    for name, width in (("a", 1.0), ("b", 1.2)):
        made.write(tmp_path, name, width=width, annotated=False)
    model = ecg.train(prepared(tmp_path), tmp_path / "m", Recipe(epochs=1), "cpu", report=tmp_path / "report")
    assert model.manifest.data.normals == len(reading.read(tmp_path).train)
    assert "Beats set aside" in (tmp_path / "report" / "index.html").read_text()
    assert (tmp_path / "report" / "set-aside.png").exists()
    assert "Not evaluated" in capsys.readouterr().out


def test_the_same_seed_makes_the_same_model(people, tmp_path):
    for name in "ab":
        ecg.train(prepared(people), tmp_path / name, Recipe(epochs=1), "cpu")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_recording_without_beats_is_refused(command, tmp_path):
    made.write_signals(tmp_path, "flat", np.zeros((60 * made.HZ, 1)), ("II",))
    done = command("ecg", "--data", tmp_path / "flat.hea", "--out", tmp_path / "m")
    assert (done.returncode, "no beats to train on in 1 person, 1 recording, 1 lead (II 1)" in done.stderr) == (2, True)


def test_a_table_without_times_is_refused_with_the_options_of_the_command(command, tmp_path):
    (tmp_path / "rec.csv").write_text("II (mV)\n" + "0.1\n" * 100)
    done = command("ecg", "--data", tmp_path / "rec.csv", "--lead", "II", "--out", tmp_path / "m")
    assert (done.returncode, "give the samples a second (--hz)" in done.stderr) == (2, True)
