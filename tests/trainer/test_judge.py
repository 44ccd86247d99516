"""`ecg-trainer evaluate`: splits, seeds, what stands beside the model, JSON and table."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from monitor.errors import RefusedError
from trainer import ecg, judge, recipe, split, tutorial
from trainer.calibrate import Budget
from trainer.judge import Task
from trainer.recipe import Recipe
from trainer.train import scores


@pytest.fixture(scope="module")
def trained(ecg_data, tmp_path_factory):
    path = tmp_path_factory.mktemp("judged") / "m"
    return path, ecg.main(ecg_data, ecg.Target(path), Recipe(epochs=2, noise_sd=0.2), "cpu")


def row(results, name):
    return next(result for result in results if result.detector == name)


def test_the_model_itself_is_judged_as_it_was_when_it_was_made(trained, ecg_data, capsys):
    path, model = trained
    results = judge.main(path, Task(ecg_data), None, show_sweep=True)
    found, before = row(results, "autoencoder").measures, model.manifest.evaluation.rows[0]
    assert found["auc"].mean == before.auc
    assert found["accuracy"].mean == before.accuracy
    assert [result.detector for result in results] == ["autoencoder", "PCA-4", "1-NN", "TF tutorial"]
    assert list(row(results, "1-NN").class_recall) == list(split.CLASSES.values())
    said = capsys.readouterr().out
    assert "the model as it is" in said
    assert "false flags/h" in said


def test_seeds_learn_the_recipe_anew_and_the_json_has_their_spread(trained, ecg_data, tmp_path):
    results = judge.main(trained[0], Task(ecg_data, "official", 2), tmp_path / "found.json", show_sweep=False)
    found = row(results, "autoencoder").measures["auc"]
    assert found.min < found.mean < found.max
    written = json.loads((tmp_path / "found.json").read_text())
    assert (written["split"], written["seeds"]) == ("official", 2)
    assert written["detectors"][0]["measures"]["auc"]["mean"] == found.mean


def test_learnt_anew_a_default_budget_follows_the_beats_and_one_by_hand_stays(trained):
    model = trained[1]
    noted = replace(model.manifest, training=model.manifest.training | {"false_alarm_rate_by_hand": 1})
    anew, as_it_is = Task(trained[0], "normals80"), Task(trained[0])
    assert judge.budget(model, anew) == Budget(None, 0.9)
    assert judge.budget(replace(model, manifest=noted), anew) == judge.budget(model, as_it_is) == Budget(0.05, 0.9)


def test_a_recipe_comes_back_out_of_the_model_that_it_made(trained):
    found = recipe.of(trained[1].manifest, seed=7)
    assert found == Recipe(epochs=2, noise_sd=0.2, seed=7)


def test_the_tutorial_is_reproduced_by_its_own_settings(ecg_data):
    train, test = split.split("tensorflow", ecg_data, 0)
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
        judge.main(trained[0], Task(own_beats(40, labels=False)), None, show_sweep=False)


def test_the_command_judges_and_a_place_that_cannot_be_written_is_refused(trained, ecg_data, command):
    done = command("evaluate", "--model", trained[0], "--data", ecg_data, "--json", "/proc/none.json")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "R-on-T PVC" in done.stdout


def test_a_trained_model_still_scores_its_golden_beats(trained):
    golden = trained[1].manifest.golden
    assert scores(trained[1], np.array(golden.samples, np.float32)) == pytest.approx(np.array(golden.scores))
