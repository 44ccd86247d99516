"""`ecg-trainer evaluate`: splits, seeds, what stands beside the model, JSON and table."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from monitor.errors import ArtifactError, RefusedError
from monitor.model import artifact
from tests.trainer.denoiser.test_artifact import model as denoiser
from trainer.commands import ecg, evaluate
from trainer.commands.evaluate import EvaluationTask
from trainer.data import split
from trainer.denoiser import artifact as denoiserfile
from trainer.denoiser.network import DenoiserConfig
from trainer.evaluation import tutorial
from trainer.fitting import recipe
from trainer.fitting.recipe import Recipe
from trainer.fitting.train import scores
from trainer.threshold.calibrate import Budget


@pytest.fixture(scope="module")
def trained(ecg_data, tmp_path_factory):
    path = tmp_path_factory.mktemp("judged") / "m"
    return path, ecg.main(ecg_data, ecg.Target(path), Recipe(epochs=2, noise_sd=0.2), "cpu")


def row(results, name):
    return next(result for result in results if result.detector == name)


def test_the_model_itself_is_judged_as_it_was_when_it_was_made(trained, ecg_data, capsys):
    path, model = trained
    results = evaluate.main(path, EvaluationTask(ecg_data), None, show_sweep=True)
    found, before = row(results, "autoencoder").measures, model.manifest.evaluation.rows[0]
    assert found["auc"].mean == before.auc
    assert found["accuracy"].mean == before.accuracy
    assert [result.detector for result in results] == ["autoencoder", "PCA-4", "1-NN", "TF tutorial"]
    assert list(row(results, "1-NN").class_recall) == list(split.CLASSES.values())
    said = capsys.readouterr().out
    assert "the model as it is" in said
    assert "false flags/h" in said


def test_seeds_learn_the_recipe_anew_and_the_json_has_their_spread(trained, ecg_data, tmp_path):
    results = evaluate.main(
        trained[0], EvaluationTask(ecg_data, "official", 2), tmp_path / "found.json", show_sweep=False
    )
    found = row(results, "autoencoder").measures["auc"]
    assert found.min < found.mean < found.max
    written = json.loads((tmp_path / "found.json").read_text())
    assert (written["split"], written["seeds"]) == ("official", 2)
    assert written["detectors"][0]["measures"]["auc"]["mean"] == found.mean


def test_learnt_anew_a_default_budget_follows_the_beats_and_one_by_hand_stays(trained):
    model = trained[1]
    noted = replace(model.manifest, training=model.manifest.training | {"false_alarm_rate_by_hand": 1})
    anew, as_it_is = EvaluationTask(trained[0], "normals80"), EvaluationTask(trained[0])
    assert evaluate.budget(model, anew) == Budget(None, 0.9)
    assert (
        evaluate.budget(replace(model, manifest=noted), anew) == evaluate.budget(model, as_it_is) == Budget(0.05, 0.9)
    )


def test_a_recipe_comes_back_out_of_the_model_that_it_made(trained):
    found = recipe.of(trained[1].manifest, seed=7)
    assert found == Recipe(epochs=2, noise_sd=0.2, seed=7)


def test_the_tutorial_is_reproduced_by_its_own_settings(tensorflow_data):
    train, test = split.split("tensorflow", tensorflow_data, 0)
    found = []
    for seed in range(5):
        score, threshold = tutorial.fit(train, seed)
        called_normal = score(test.samples) < threshold
        right = (called_normal & ~test.abnormal).sum()
        found.append(
            ((called_normal != test.abnormal).mean(), right / called_normal.sum(), right / (~test.abnormal).sum())
        )
    assert np.mean(found, axis=0) == pytest.approx([0.94, 0.99, 0.90], abs=0.02)


def test_four_fifths_of_the_normals_train_and_the_rest_and_all_abnormals_test(ecg_data):
    train, test = split.split("normals80", ecg_data, 3)
    assert (len(train), train.abnormal.sum()) == (2335, 0)
    assert (len(test), test.abnormal.sum()) == (584 + 2081, 2081)
    again, other = split.split("normals80", ecg_data, 3)[0], split.split("normals80", ecg_data, 4)[0]
    assert (train.samples == again.samples).all()
    assert (train.samples != other.samples).any()


def test_the_tensorflow_split_needs_its_file(tmp_path):
    with pytest.raises(RefusedError, match=r"ecg\.csv, which is not there"):
        split.split("tensorflow", tmp_path, 0)


def test_beats_without_labels_cannot_be_judged(trained, own_beats):
    with pytest.raises(RefusedError, match="nothing to judge by"):
        evaluate.main(trained[0], EvaluationTask(own_beats(40, labels=False)), None, show_sweep=False)


def test_the_command_judges_and_says_what_the_thresholds_are_by(trained, ecg_data, command):
    done = command("evaluate", "--model", trained[0], "--data", ecg_data)
    assert done.returncode == 0, done.stderr
    assert "R-on-T PVC" in done.stdout
    assert "thresholds by a false-alarm budget (5.0%, confidence 0.9)" in done.stdout


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_judged(trained, ecg_data, command):
    done = command("evaluate", "--model", trained[0], "--data", ecg_data, "--json", "/proc/none.json")
    assert done.returncode == 2
    assert done.stderr == "error: /proc/none.json: cannot be written: No such file or directory\n"


@pytest.mark.parametrize(("split", "said"), [(None, "the model's own rule (f1 on"), ("official", "not learnt anew")])
def test_a_rule_that_promises_nothing_is_named(trained, ecg_data, tmp_path, capsys, split, said):
    model = trained[1]
    limit = replace(model.manifest.threshold, confidence=0.0, rule="f1 on labelled training beats")
    artifact.save(tmp_path / "m", replace(model, manifest=replace(model.manifest, threshold=limit)))
    evaluate.main(tmp_path / "m", EvaluationTask(ecg_data, split), None, show_sweep=False)
    told = capsys.readouterr().out
    assert said in told
    assert "a false-alarm budget (the default, confidence 0.9)" in told


def test_an_image_denoiser_is_no_model_of_beats(ecg_data, tmp_path):
    denoiserfile.save(tmp_path / "m", denoiser(DenoiserConfig("classic")))
    with pytest.raises(ArtifactError, match="this is an image denoiser, where a model of beats is expected"):
        evaluate.main(tmp_path / "m", EvaluationTask(ecg_data), None, show_sweep=False)


def rows_of(part):
    """In ECG5000's own form, the class first."""
    return np.column_stack([part.abnormal + 1, part.samples])


def test_a_model_is_not_judged_on_the_beats_that_it_learnt_from(trained, ecg5000, tmp_path):
    file = tmp_path / "ECG5000_TRAIN.tsv"
    np.savetxt(file, rows_of(ecg5000.train), delimiter="\t")
    with pytest.raises(RefusedError, match="fitted on these beats, or on some of them"):
        evaluate.main(trained[0], EvaluationTask(file), None, show_sweep=False)
    np.savetxt(tmp_path / "ECG5000_TEST.tsv", rows_of(ecg5000.train), delimiter="\t")
    with pytest.raises(RefusedError, match="fitted on these beats"):
        evaluate.main(trained[0], EvaluationTask(tmp_path), None, show_sweep=False)


def test_it_is_judged_on_the_test_beats_alone(trained, ecg5000, tmp_path):
    np.savetxt(tmp_path / "later.tsv", rows_of(ecg5000.test.only(slice(0, None, 8))), delimiter="\t")
    results = evaluate.main(trained[0], EvaluationTask(tmp_path / "later.tsv"), None, show_sweep=False)
    assert row(results, "autoencoder").measures["auc"].mean > 0.9
    assert "R-on-T PVC" in row(results, "autoencoder").class_recall


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("text", "line 1 has 2 columns"),
        ("few", "2 normal beats to learn from, where at least 30 are needed"),
        ("abnormal", "0 normal beats to learn from, where at least 30 are needed"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_in_one_sentence(trained, ecg5000, tmp_path, command, part, said):
    learnt, test = ecg5000.train, ecg5000.test.only(slice(2600, 2700))
    beats = {"few": learnt.only(np.cumsum(~learnt.abnormal) < 3), "abnormal": learnt.only(learnt.abnormal)}
    if part == "text":
        (tmp_path / "ECG5000_TRAIN.tsv").write_text("no beats\n")
    else:
        np.savetxt(tmp_path / "ECG5000_TRAIN.tsv", rows_of(beats[part]), delimiter="\t")
    np.savetxt(tmp_path / "ECG5000_TEST.tsv", rows_of(test), delimiter="\t")
    done = command("evaluate", "--model", trained[0], "--data", tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_a_training_part_separated_by_commas_has_no_classes_to_tell(trained, ecg5000, tmp_path):
    learnt = ecg5000.test.only(slice(1000, 3000))
    np.savetxt(tmp_path / "ECG5000_TRAIN.txt", np.column_stack([learnt.samples, ~learnt.abnormal]), delimiter=",")
    np.savetxt(tmp_path / "ECG5000_TEST.txt", rows_of(ecg5000.test.only(slice(2500, 4000))))
    results = evaluate.main(trained[0], EvaluationTask(tmp_path), None, show_sweep=False)
    assert row(results, "autoencoder").class_recall


def test_a_trained_model_still_scores_its_golden_beats(trained):
    golden = trained[1].manifest.golden
    assert scores(trained[1], np.array(golden.samples, np.float32)) == pytest.approx(np.array(golden.scores))
