"""A model is measured beside other detectors: splits, seeds, JSON and table."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from monitor.errors import ArtifactError, RefusedError
from monitor.model import artifact
from tests.trainer.denoiser.test_artifact import model as denoiser
from trainer.data import split
from trainer.denoiser.artifact import save as save_denoiser
from trainer.denoiser.network import DenoiserConfig
from trainer.evaluation import comparison
from trainer.evaluation.comparison import EvaluationTask
from trainer.threshold.conformal import Budget


def row(results, name):
    return next(result for result in results if result.detector == name)


def test_the_model_itself_has_the_figures_of_its_manifest(quick_model, ecg_data, capsys):
    path, model = quick_model
    results = comparison.compare(path, EvaluationTask(ecg_data), None, show_sweep=True)
    found, before = row(results, "autoencoder").measures, model.manifest.evaluation.rows[0]
    assert found["auc"].mean == before.auc
    assert found["accuracy"].mean == before.accuracy
    assert [result.detector for result in results] == ["autoencoder", "PCA-4", "1-NN", "TF tutorial"]
    assert list(row(results, "1-NN").class_recall) == list(split.CLASSES.values())
    message = capsys.readouterr().out
    assert "the model as it is" in message
    assert "false flags/h" in message


@pytest.mark.slow
def test_seeds_train_the_recipe_again_and_the_json_has_their_spread(quick_model, ecg_data, tmp_path):
    results = comparison.compare(
        quick_model[0], EvaluationTask(ecg_data, "official", 2), tmp_path / "found.json", show_sweep=False
    )
    found = row(results, "autoencoder").measures["auc"]
    assert found.min < found.mean < found.max
    written = json.loads((tmp_path / "found.json").read_text())
    assert (written["split"], written["seeds"]) == ("official", 2)
    assert written["detectors"][0]["measures"]["auc"]["mean"] == found.mean


def test_trained_again_a_default_budget_follows_the_beats_and_one_by_hand_stays(quick_model):
    model = quick_model[1]
    noted = replace(model.manifest, training=model.manifest.training | {"false_alarm_rate_by_hand": 1})
    again, as_it_is = EvaluationTask(quick_model[0], "normals80"), EvaluationTask(quick_model[0])
    assert comparison.budget(model, again) == Budget(None, 0.9)
    assert (
        comparison.budget(replace(model, manifest=noted), again)
        == comparison.budget(model, as_it_is)
        == Budget(0.05, 0.9)
    )


def test_beats_without_labels_cannot_be_used_for_an_evaluation(quick_model, own_beats):
    with pytest.raises(RefusedError, match="nothing can be evaluated"):
        comparison.compare(quick_model[0], EvaluationTask(own_beats(40, labels=False)), None, show_sweep=False)


@pytest.mark.parametrize(
    ("split", "message"), [(None, "the model's own rule (f1 on"), ("official", "not applied again")]
)
def test_a_rule_without_a_guarantee_is_named(quick_model, ecg_data, tmp_path, capsys, split, message):
    model = quick_model[1]
    limit = replace(model.manifest.threshold, confidence=0.0, rule="f1 on labelled training beats")
    artifact.save(tmp_path / "m", replace(model, manifest=replace(model.manifest, threshold=limit)))
    comparison.compare(tmp_path / "m", EvaluationTask(ecg_data, split), None, show_sweep=False)
    printed = capsys.readouterr().out
    assert message in printed
    assert "a false-alarm budget (default rate, confidence 0.9)" in printed


def test_an_image_denoiser_is_refused_as_a_model_of_beats(ecg_data, tmp_path):
    save_denoiser(tmp_path / "m", denoiser(DenoiserConfig("classic")))
    with pytest.raises(ArtifactError, match="this is an image denoiser, where a model of beats is expected"):
        comparison.compare(tmp_path / "m", EvaluationTask(ecg_data), None, show_sweep=False)


def rows_of(part):
    """In ECG5000's own form, the class first."""
    return np.column_stack([part.abnormal + 1, part.samples])


def test_a_model_is_not_evaluated_on_the_beats_that_it_was_trained_on(quick_model, ecg5000, tmp_path, capsys):
    file = tmp_path / "ECG5000_TRAIN.tsv"
    np.savetxt(file, rows_of(ecg5000.train), delimiter="\t")
    with pytest.raises(RefusedError, match="trained on these beats, or on some of them"):
        comparison.compare(quick_model[0], EvaluationTask(file), None, show_sweep=False)
    np.savetxt(tmp_path / "ECG5000_TEST.tsv", rows_of(ecg5000.train), delimiter="\t")
    with pytest.raises(RefusedError, match="the test part must have labelled beats"):
        comparison.compare(quick_model[0], EvaluationTask(tmp_path), None, show_sweep=False)
    assert "500 test beats repeated from the training part: left out" in capsys.readouterr().out


def test_it_is_evaluated_on_the_test_beats_alone(quick_model, ecg5000, tmp_path):
    np.savetxt(tmp_path / "later.tsv", rows_of(ecg5000.test.only(slice(0, None, 8))), delimiter="\t")
    results = comparison.compare(quick_model[0], EvaluationTask(tmp_path / "later.tsv"), None, show_sweep=False)
    assert row(results, "autoencoder").measures["auc"].mean > 0.9
    assert "R-on-T PVC" in row(results, "autoencoder").class_recall


@pytest.mark.slow
def test_a_training_part_separated_by_commas_has_no_classes_to_tell(quick_model, ecg5000, tmp_path):
    train = ecg5000.test.only(np.r_[500:2300, 4000:4400])
    np.savetxt(tmp_path / "ECG5000_TRAIN.txt", np.column_stack([train.samples, ~train.abnormal]), delimiter=",")
    np.savetxt(tmp_path / "ECG5000_TEST.txt", rows_of(ecg5000.test.only(slice(2300, 4000))))
    results = comparison.compare(quick_model[0], EvaluationTask(tmp_path), None, show_sweep=False)
    assert row(results, "autoencoder").class_recall
