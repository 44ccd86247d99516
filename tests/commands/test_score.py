"""`ecg-monitor score`: beats of files, scored without Kafka."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import astuple, replace

import numpy as np
import orjson
import pytest

from monitor import load_model
from monitor.beats.window import R_CENTRED
from monitor.model import artifact
from monitor.model.manifest import WindowSpec
from tests import models
from tests.command_line import invoke, leave_settings_behind
from tests.conftest import REPOSITORY
from tests.recordings import files
from tests.recordings import test_segmenter as leads


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `ecg-monitor score …` beside a model and beats; gives exit code, output and standard error."""
    leave_settings_behind(monkeypatch, tmp_path)
    artifact.save(tmp_path / "model.safetensors", models.model())
    np.save(tmp_path / "beats.npy", beats())
    labels = (np.arange(60) % 3 > 0).astype(np.float32)  # 1 = normal
    np.savetxt(tmp_path / "labelled.csv", np.column_stack([beats(), labels]), delimiter=",", fmt="%.9g")

    def run(*arguments):
        return invoke(monkeypatch, capsys, "score", *arguments)

    return run


def beats():
    """Beats of which the third is flat."""
    found = models.beats(60, seed=5)
    found[2] = 1
    return found


def test_a_table_has_a_row_for_each_beat_and_a_summary(command):
    code, out, err = command("beats.npy")
    header, *rows, summary = out.splitlines()
    result = load_model("model.safetensors").score(beats())
    assert (code, err) == (0, "")
    assert header.split() == ["row", "seconds", "score", "p-value", "verdict"]
    assert rows[0].split() == ["1", "-", f"{result.score[0]:.4g}", f"{result.p_value[0]:.4g}", "normal"]
    assert rows[2].split() == ["3", "-", "-", "-", "no", "score:", "flat-line"]
    assert len(rows) == 60
    flagged, threshold = result.abnormal.sum(), models.model().manifest.threshold.value
    assert summary == f"60 beats: {flagged} abnormal (score above {threshold:g}), 1 without a score"


def test_labels_are_compared_with_the_verdicts(command):
    result, is_abnormal = load_model("model.safetensors").score(beats()), np.arange(60) % 3 == 0
    _, out, _ = command("labelled.csv")
    _, recall, rate = out.splitlines()[-3:]
    hits, false = result.abnormal[is_abnormal].sum(), result.abnormal[~is_abnormal].sum()
    assert recall == f"recall: {hits / 20:.4f} ({hits} of 20 labelled abnormal lie above the threshold)"
    assert rate == f"false-alarm rate: {false / 40:.4f} ({false} of 40 labelled normal lie above the threshold)"


def test_json_is_an_object_for_each_beat_and_the_summary_goes_to_standard_error(command):
    code, out, err = command("beats.npy", "--json")
    rows = [orjson.loads(line) for line in out.splitlines()]
    result = load_model("model.safetensors").score(beats())
    assert code == 0
    assert rows[2] == {
        "file": "beats.npy", "row": 3, "seconds": None, "score": None, "p_value": None, "abnormal": None,
        "cause": "flat-line",
    }  # fmt: skip
    scored = [row for row in rows if not row["cause"]]
    assert [row["row"] for row in rows] == list(range(1, 61))
    assert [np.float32(row["score"]) for row in scored] == result.score[result.cause == ""].tolist()
    assert [row["p_value"] for row in scored] == result.p_value[result.cause == ""].tolist()
    assert [row["abnormal"] for row in scored] == result.abnormal[result.cause == ""].tolist()
    assert err.startswith("60 beats: ")


def test_csv_has_one_header_for_all_files(command):
    code, out, err = command("beats.npy", "labelled.csv", "--csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0
    assert len(rows) == 120
    assert rows[2] == {
        "file": "beats.npy", "row": "3", "seconds": "", "score": "", "p_value": "", "abnormal": "",
        "cause": "flat-line",
    }  # fmt: skip
    assert (rows[60]["file"], rows[60]["row"]) == ("labelled.csv", "1")
    assert {row["abnormal"] for row in rows} == {"", "true", "false"}
    assert err.startswith("120 beats: ")


def test_what_was_assumed_about_a_file_is_said_and_labels_can_be_named(command, tmp_path):
    rows = [[*row, "normal" if place % 3 else "PVC"] for place, row in enumerate(beats().tolist())]
    (tmp_path / "words.csv").write_text("".join(";".join(map(str, row)) + "\n" for row in rows))
    code, out, err = command("words.csv", "--csv")
    assert (code, len(out.splitlines())) == (0, 61)
    assert "words.csv: columns are divided by semicolons" in err
    assert "labels: normal: normal (40); abnormal: PVC (20)" in err
    assert "of 40 labelled abnormal" in command("words.csv", "--normal-label", "pvc")[1]


def test_several_files_stand_under_their_names(command):
    assert command("beats.npy", "labelled.csv")[1].count("\n    row ") == 2


def test_rows_count_on_from_chunk_to_chunk(command, monkeypatch):
    monkeypatch.setattr("monitor.commands.score.CHUNK_BEATS", 7)
    rows = [row["row"] for row in csv.DictReader(command("beats.npy", "--csv")[1].splitlines())]
    assert rows == [str(row) for row in range(1, 61)]


def test_the_settings_of_the_monitor_hold_here_too(command, monkeypatch, tmp_path):
    (tmp_path / "model.safetensors").rename(tmp_path / "other")
    monkeypatch.setenv("MONITOR_MODEL", "other")
    monkeypatch.setenv("MONITOR_THRESHOLD", "1e-6")
    assert "60 beats: 59 abnormal (score above 1e-06)" in command("beats.npy")[1]
    assert "60 beats: 0 abnormal (score above 1000)" in command("beats.npy", "--threshold", "1000")[1]
    monkeypatch.setenv("MONITOR_MODEL", "nowhere")
    assert command("beats.npy", "--model", "other")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.csv"], "nowhere.csv: cannot be read: No such file or directory"),
        (["model.safetensors"], "model.safetensors: line 1"),
        (["beats.npy", "--model", "beats.npy"], "beats.npy: "),
        (["beats.npy", "--model", "nowhere"], "nowhere: cannot be read"),
        (["beats.npy", "--threshold", "nan"], "--threshold is nan, where a number above 0 is expected"),
        ([], "Missing argument 'FILE...'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(command, arguments, sentence):
    code, _, err = command(*arguments)
    assert code == 2
    assert sentence in err


def recorded(tmp_path):
    """A WFDB record `100`, and a model that expects beats as they are cut from it."""
    signal = np.tile(np.exp(-0.5 * ((np.arange(250) - 100) / 4) ** 2), 40)
    (tmp_path / "100.dat").write_bytes((1000 * signal).astype("<i2").tobytes())
    (tmp_path / "100.hea").write_text(f"100 1 250 {len(signal)}\n100.dat 16 1000/mV 16 0 0 0 0 II\n")
    model = models.model()
    window = WindowSpec(140, None, "a ward", *astuple(R_CENTRED))
    artifact.save(tmp_path / "around-r", replace(model, manifest=replace(model.manifest, window=window)))


def test_a_recording_is_cut_as_the_model_expects_and_each_beat_has_its_time(command, tmp_path):
    recorded(tmp_path)
    code, out, err = command("100", "--lead", "II", "--model", "around-r", "--csv")
    times = [float(row["seconds"]) for row in csv.DictReader(out.splitlines())]
    assert (code, err.splitlines()[0].partition(":")[0]) == (0, f"{len(times)} beats")
    assert len(times) >= 38
    assert np.diff(times) == pytest.approx(1.0, abs=0.01)
    assert command("100.hea", "--model", "around-r", "--csv")[1].count("\n") == len(times) + 1


def table(path, height=1.0):
    """A CSV recording with times and without a unit: 40 beats so high, or a flat line."""
    lead = height * np.tile(np.exp(-0.5 * ((np.arange(250) - 100) / 4) ** 2), 40)
    path.write_text("time,II\n" + "".join(f"{at / 250:.3f},{value:.6f}\n" for at, value in enumerate(lead)))


def test_a_csv_recording_is_read_by_the_options_that_publish_has(command, tmp_path):
    recorded(tmp_path)
    table(tmp_path / "lead.csv")
    code, _, error = command("lead.csv", "--model", "around-r")
    assert (code, "give its --unit: uV" in error) == (2, True)
    code, out, error = command("lead.csv", "--model", "around-r", "--unit", "mV", "--column", "II", "--csv")
    assert (code, len(out.splitlines()) >= 39) == (0, True)
    assert command("lead.csv", "--model", "around-r", "--unit", "mV", "--hz", "250")[0] == 0


def test_short_beats_that_are_to_be_stretched_are_no_recording(command, tmp_path):
    np.savetxt(tmp_path / "short.csv", beats()[:, ::3], delimiter=",")
    assert "60 beats: " in command("short.csv", "--resample")[1]


def test_a_recording_without_beats_is_remarked_on_and_no_beats_at_all_are_an_error(command, tmp_path):
    recorded(tmp_path)
    table(tmp_path / "flat.csv", height=0.0)
    sentence = "flat.csv: no beats: look at the lead (--lead), the unit (--unit) and the rate (--hz)"
    code, _, error = command("flat.csv", "--unit", "mV", "--model", "around-r")
    assert code == 2
    assert error.splitlines() == [sentence, "error: no beats were found, so nothing was scored"]
    code, _, error = command("flat.csv", "100", "--unit", "mV", "--model", "around-r")
    assert (code, error) == (0, f"{sentence}\n")


def test_an_amplitude_that_no_ecg_has_is_remarked_on(command, tmp_path):
    recorded(tmp_path)
    table(tmp_path / "lead.csv", height=100.0)
    code, _, error = command("lead.csv", "--unit", "mV", "--model", "around-r")
    assert code == 0
    assert error.startswith("lead.csv: warning: the median height of R is ")
    assert "where 0.02 to 20 mV are expected of an ECG" in error


def test_an_error_in_the_middle_of_a_recording_says_how_many_beats_were_scored_before(command, tmp_path):
    recorded(tmp_path)
    files.flip(files.write_flac(tmp_path, leads.lead(180.0)[0]).with_suffix(".dat"), 0.5)
    code, out, error = command("100", "--model", "around-r", "--csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert (code, len(rows) > 50) == (2, True)
    assert "error: 100.dat: lead 'II' from 60.0 s to 120.0 s is damaged" in error
    assert f"(scored before: {len(rows)} beats, until {float(rows[-1]['seconds']):.3f} s)" in error


def test_verdicts_are_compared_with_the_annotations_of_a_recording(command, tmp_path):
    recorded(tmp_path)
    files.write_annotations(tmp_path / "100.atr", *((250 * beat + 100, 5 if beat % 4 else 1, "") for beat in range(40)))
    code, out, _ = command("100", "--model", "around-r", "--threshold", "1e-6")
    assert code == 0
    *_, recall, rate = out.splitlines()
    assert recall.startswith("recall: 1.0000 (")
    assert recall.endswith(" labelled abnormal lie above the threshold)")
    assert rate.startswith("false-alarm rate: 1.0000 (")
    assert int(recall.split()[4]) > 2 * int(rate.split()[5])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["100"], "100: this is a recording, and the model expects beats from R to R, stretched to 140 samples: use"),
        (["100", "--model", "around-r", "--lead", "V9"], "V9"),
        (["101.hea", "--model", "around-r"], "101"),
    ],
)
def test_a_recording_that_cannot_be_cut_is_refused(command, tmp_path, arguments, sentence):
    recorded(tmp_path)
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err


def test_beats_that_do_not_fit_are_named_with_the_window_that_the_model_wants(command):
    _, out, _ = command("beats.npy", "--threshold", "1e-6")
    assert out.splitlines()[-1] == (
        "beats.npy: 59 of 59 beats that should mostly be normal lie above the threshold: the model does not know such "
        "beats. It expects beats that are cut so: from R to R, stretched to 140 samples, of patients and leads like "
        "those that it has learnt. These are others."
    )
    assert "does not know" not in command("beats.npy")[1]


def test_beats_that_are_labelled_abnormal_do_not_make_a_model_unfit(command, tmp_path):
    np.save(tmp_path / "strange.npy", np.column_stack([beats(), np.zeros(60)]))
    code, out, _ = command("strange.npy", "--threshold", "1e-6")
    assert (code, "does not know" in out) == (0, False)


@pytest.mark.slow
def test_a_reader_that_stops_early_ends_it_quietly(command, tmp_path):
    np.save(tmp_path / "many.npy", np.tile(beats(), (500, 1)))
    assert command("beats.npy")[0] == 0  # the model is there
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "score", "many.npy", "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("{")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--json", "--csv"), "give one of --json and --csv"),
        (("--threshold", "nan"), "where a number above 0 is expected"),
        (("--threshold", "0"), "where a number above 0 is expected"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_printed(command, options, sentence):
    code, printed, error = command("beats.npy", "--model", "model.safetensors", *options)
    assert (code, printed) == (2, "")
    assert sentence in error


@pytest.mark.usefixtures("command")
def test_without_the_extra_beats_are_scored_and_a_recording_is_refused(tmp_path):
    files.write_wfdb(tmp_path)
    without = "import sys\nfor name in ('scipy', 'wfdb', 'edfio'):\n    sys.modules[name] = None\n"
    line = [sys.executable, "-c", f"{without}from monitor.cli import main; main()", "score", "beats.npy", "100"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert len(done.stdout.splitlines()) >= 60
    assert "pip install 'ecg-monitor[recordings]'" in done.stderr
