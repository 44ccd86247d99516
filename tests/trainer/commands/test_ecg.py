"""`ecg-trainer ecg` as a person runs it: beats in, a model file out, or one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from monitor.alarms.threshold import Thresholds
from monitor.model import artifact
from monitor.model.scorer import Scorer
from tests.trainer.conftest import REPOSITORY
from trainer.commands import ecg
from trainer.fitting.preparation import prepared
from trainer.fitting.recipe import Recipe
from trainer.threshold.rule import ThresholdRule

QUICK = ("--epochs", 2)


@pytest.fixture
def trained(tmp_path, capsys):
    """The manifest of a model trained within this process, and the messages of the training."""

    def train(beats, epochs=2):
        ecg.train(prepared(beats), tmp_path / "m", Recipe(epochs=epochs), "cpu")
        return artifact.load(tmp_path / "m", "cpu").manifest, capsys.readouterr().out

    return train


@pytest.fixture(scope="session")
def default(default_model_file):
    """The model that is trained without any option."""
    return artifact.load(default_model_file, "cpu")


@pytest.mark.slow
def test_the_default_model_reaches_what_is_promised_of_it(default):
    ours, pca, nearest = default.manifest.evaluation.rows
    assert ours.auc >= 0.995
    assert ours.auc > max(pca.auc, nearest.auc)
    assert ours.tpr_at_1_percent_fpr >= 0.90
    assert ours.accuracy >= 0.98
    assert ours.false_positive_rate <= 0.03


@pytest.mark.slow
def test_the_figures_of_the_manifest_are_those_of_the_daemon(default, ecg5000):
    scores = Scorer(default, "cpu", 512).score(ecg5000.test.samples).score
    flagged = Thresholds.from_manifest(default.manifest).judge(np.full(len(scores), b"bed", object), scores).abnormal
    ours = default.manifest.evaluation.rows[0]
    assert (flagged == ecg5000.test.abnormal).mean() == pytest.approx(ours.accuracy)
    assert flagged[~ecg5000.test.abnormal].mean() == pytest.approx(ours.false_positive_rate)


@pytest.mark.slow
def test_the_manifest_records_how_the_model_was_trained(default):
    manifest = default.manifest
    assert (manifest.data.normals, manifest.data.abnormals) == (292, 208)
    assert (manifest.threshold.rank, manifest.threshold.normals) == (10, 292)
    assert manifest.threshold.value == manifest.calibration[-10]
    assert (manifest.window.samples, manifest.window.nominal_hz) == (140, 180)
    assert manifest.training["seed"] == 0
    assert "torch" in manifest.versions


@pytest.mark.slow
def test_the_same_seed_makes_the_same_file_in_another_process(process, ecg_data, tmp_path):
    for name in ("a", "b"):
        assert process("ecg", "--data", ecg_data, "--out", tmp_path / name, *QUICK, "--seed", 5).returncode == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_own_beats_with_labels_are_trained_on_and_evaluated(trained, own_beats):
    manifest, message = trained(own_beats(200, 50), epochs=20)
    assert (manifest.evaluation.normals, manifest.evaluation.abnormals) == (40, 10)
    assert manifest.evaluation.rows[0].auc == 1
    assert "autoencoder" in message


def test_own_beats_without_labels_are_taken_as_normal_and_not_evaluated(trained, own_beats):
    manifest, message = trained(own_beats(60, labels=False))
    assert manifest.evaluation is None
    assert manifest.window.nominal_hz is None
    assert "all 60 beats are taken as normal" in message
    assert "Not evaluated" in message


def test_beats_too_few_for_the_budget_are_used_with_a_message(trained, own_beats):
    manifest, message = trained(own_beats(35, labels=False))
    assert "35 normal beats cannot support 5.0% with confidence 0.9" in message
    assert manifest.threshold.note in message


def test_flat_beats_are_left_out_with_a_message(trained, tmp_path):
    samples = np.random.default_rng(2).normal(size=(50, 140)).cumsum(axis=1)
    samples[7] = 3
    np.save(tmp_path / "own.npy", samples)
    manifest, message = trained(tmp_path / "own.npy")
    assert "1 training beat flat or saturated: left out" in message
    assert manifest.data.normals == 49


def refusal(done):
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_too_few_normal_beats_are_refused(command, own_beats, tmp_path):
    message = refusal(command("ecg", "--data", own_beats(29, labels=False), "--out", tmp_path / "m"))
    assert "29 distinct normal beats to train on, but at least 30 are needed" in message
    assert not (tmp_path / "m").exists()


def test_a_wrong_file_is_refused_by_line_and_column(command, tmp_path):
    (tmp_path / "own.csv").write_text("1,2,x\n")
    assert "own.csv: line 1 has 3 columns" in refusal(
        command("ecg", "--data", tmp_path / "own.csv", "--out", tmp_path / "m")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device", "cuda:99"), "error: device cuda:99 is not there"),
        (("--epochs", "0"), "Invalid value for '--epochs'"),
        (("--seed", "x"), "Invalid value for '--seed'"),
        (("--out", "/proc/none/m"), "error: /proc/none/m: cannot be written"),
        (("--report", "/proc/none"), "error: /proc/none/index.html: cannot be written"),
        (("--device", "meta"), "error: device 'meta' is unknown"),
        (("--false-alarm-rate", "nan"), "error: the false-alarm rate is nan"),
        (("--threshold-rule", "f1", "--false-alarm-rate", "0.01"), "error: the threshold rule f1 promises no"),
        (("--false-alarm-rate", "0.001"), "error: 30 normal beats cannot support a false-alarm rate of 0.001"),
        (("--normal-label", "0"), "--normal-label is given, but the file has no labels"),
        (("--surprise",), "No such option"),
    ],
)
def test_a_wrong_option_is_refused(command, own_beats, tmp_path, options, message):
    words = ("--data", own_beats(30, labels=False), "--out", tmp_path / "m", *QUICK, *options)
    assert message in refusal(command("ecg", *words))


def test_without_the_extra_the_sentence_names_it(tmp_path):
    without = "import sys; sys.modules['sklearn'] = None; from trainer.cli import main; main()"
    words = ["ecg", "--data", str(tmp_path), "--out", str(tmp_path / "m")]
    done = subprocess.run(
        [sys.executable, "-c", without, *words], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    assert "pip install 'ecg-monitor[trainer]'" in refusal(done)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["stacked", "conv"])
def test_ctrl_c_ends_the_training_and_writes_what_has_been_learnt(own_beats, tmp_path, network):
    line = [sys.executable, "-m", "trainer", "ecg", "--data", str(own_beats(100, 20)), "--network", network]
    line += ["--out", str(tmp_path / "out" / "m"), "--epochs", "100000"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert process.stderr.readline() == "training: 100,000 epochs\n"  # it has begun
    process.send_signal(signal.SIGINT)
    message, rest = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    manifest = artifact.load(tmp_path / "out" / "m", "cpu").manifest
    assert manifest.training["interrupted"] == 1
    assert f"training stopped after {manifest.training['epochs']} of 100,000 epochs" in message
    assert (len(manifest.calibration), manifest.evaluation.normals) == (80, 20)


class Interrupted(Recipe):
    """A recipe in whose sixth step a person presses Ctrl-C."""

    def rate(self, step, steps):
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return super().rate(step, steps)


class Impatient(ThresholdRule):
    """A rule during which a person presses it again."""

    def threshold(self, calibration, abnormal):
        os.kill(os.getpid(), signal.SIGINT)
        return super().threshold(calibration, abnormal)


def test_a_second_ctrl_c_ends_it_at_once_with_nothing_written(own_beats, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        ecg.train(prepared(own_beats(40)), tmp_path / "out" / "m", Interrupted(), "cpu", Impatient())
    assert "press Ctrl-C again to write nothing" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("--help",), ("ecg", "--help"), ("evaluate", "--help"), ("--version",)])
def test_every_command_explains_itself(process, words):
    done = process(*words)
    assert done.returncode == 0
    assert "ecg-trainer" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("network", ["plain", "conv"])
def test_every_network_becomes_a_model_that_proves_itself(command, own_beats, tmp_path, network):
    words = ("--network", network, "--noise", "dropout:0.2", "--quick", "--threshold-rule", "f1")
    done = command("ecg", "--data", own_beats(60, 20), "--out", tmp_path / "m", *words)
    assert done.returncode == 0, done.stderr
    manifest = artifact.load(tmp_path / "m", "cpu").manifest
    assert manifest.network.kind == network
    assert (manifest.training["dropout"], manifest.threshold.abnormals) == (0.2, 16)
    assert "false alarms per patient per hour" in done.stdout


def test_a_rule_that_needs_labels_is_refused_before_the_training(command, own_beats, tmp_path):
    words = ("--data", own_beats(60, labels=False), "--out", tmp_path / "m", "--threshold-rule", "recall:0.9")
    assert "needs labelled abnormal training beats" in refusal(command("ecg", *words))


def written(tmp_path, rows, name="own.csv"):
    np.savetxt(tmp_path / name, rows, delimiter=",", fmt="%.6g")
    return tmp_path / name


def test_repeated_beats_make_the_same_model_as_single_ones(trained, own_beats, tmp_path):
    once = np.loadtxt(own_beats(60, labels=False), delimiter=",")
    single, _ = trained(written(tmp_path, once))
    five, message = trained(written(tmp_path, np.tile(once, (5, 1))))
    assert "240 of 300 training beats repeat another one" in message
    assert five == single


def test_identical_beats_are_refused_with_the_reason(command, own_beats, tmp_path):
    rows = np.loadtxt(own_beats(1, labels=False), delimiter=",", ndmin=2)
    done = command("ecg", "--data", written(tmp_path, np.tile(rows, (40, 1))), "--out", tmp_path / "m")
    assert "39 of 40 training beats repeat another one" in done.stdout
    assert "1 distinct normal beat to train on, but at least 30 are needed" in refusal(done)


def test_test_beats_that_repeat_training_beats_are_left_out_and_counted(trained, own_beats, tmp_path):
    rows = np.loadtxt(own_beats(100, 20), delimiter=",")
    rows[90:100] = rows[:10]
    manifest, message = trained(written(tmp_path, rows))
    assert "10 test beats repeated from the training part: left out" in message
    assert (manifest.evaluation.normals, manifest.evaluation.abnormals) == (10, 4)


def test_labels_the_other_way_round_are_loud_and_can_be_named(command, ecg5000, tmp_path):
    normals = ecg5000.test.normal_samples[:300]
    abnormals = ecg5000.test.samples[ecg5000.test.abnormal][:300]
    beats = written(tmp_path, np.column_stack([np.vstack([normals, abnormals]), np.arange(600) >= 300]))
    done = command("ecg", "--data", beats, "--out", tmp_path / "m", *QUICK)
    assert done.returncode == 0
    assert done.stderr.count("Are the labels the other way round?") == 2
    done = command("ecg", "--data", beats, "--out", tmp_path / "m", *QUICK, "--normal-label", "0")
    assert "warning" not in done.stderr
    assert "labels: normal: 0 (300); abnormal: 1 (300)" in done.stdout


def test_a_copy_with_the_other_label_is_remarked_on(command, own_beats, tmp_path):
    rows = np.loadtxt(own_beats(60, 10), delimiter=",")
    done = command(
        "ecg", "--data", written(tmp_path, np.vstack([rows, [*rows[0, :140], 0]])), "--out", tmp_path / "m", *QUICK
    )
    assert "warning: 1 beat labelled both normal and abnormal" in done.stderr


@pytest.mark.parametrize("name", ["ecg", "calibrate", "evaluate", "denoiser"])
def test_nothing_is_written_over_what_is_no_regular_file(command, tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    own = ("--data", tmp_path, "--json" if name == "evaluate" else "--out")
    words = own if name in ("ecg", "denoiser") else ("--model", tmp_path / "m", *own)
    for place in (tmp_path / "pipe", "/dev/null"):
        assert "it is not a regular file" in refusal(command(name, *words, place))
    assert (tmp_path / "pipe").is_fifo()
