"""`ecg-monitor backtest`: the alarms of recordings, counted without Kafka."""

from __future__ import annotations

import os
import subprocess
import sys

import orjson
import pytest

from tests.backtest import made_up
from tests.command_line import invoke
from tests.conftest import REPOSITORY
from tests.recordings import files

SECONDS = ("--profile-seconds", "120")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three records: `run` has a run of five ventricular beats, `calm` none, `bare` a run and no annotations."""
    where = tmp_path_factory.mktemp("records")
    kinds = made_up.LEARNED + "VVVVV" + "N" * 20
    made_up.write(where, "run", kinds)
    made_up.write(where, "calm", "N" * 220, seed=1)
    made_up.write(where, "bare", kinds, annotated=False, seed=2)
    return where


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """Run `ecg-monitor backtest …` in the folder of the records; gives exit code, output and standard error."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        return invoke(monkeypatch, capsys, "backtest", *arguments)

    return run


def test_a_folder_gives_a_row_for_each_recording_and_a_total(command):
    code, out, err = command(".", *SECONDS)
    header, bare, calm, run, empty, *lines = out.splitlines()
    assert (code, err, empty) == (0, "", "")
    assert (
        " ".join(header.split()) == "recording hours openings per hour false runs found of 5+ longest priority ectopy"
    )
    assert calm.split() == ["calm", "0.02", "0", "0.00", "0", "0", "of", "0", "0", "of", "0", "-", "-", "0"]
    assert run.split()[2:10] == ["1", *run.split()[3:4], "0", "1", "of", "1", "1", "of"]
    assert bare.split()[4:7] == ["-", "-", "-"]
    assert lines[0] == "0.05 h of 3 recordings judged, 2 openings"
    assert lines[2] == "frequent ectopy, of low priority and not among these: 0 openings, 0.00 an hour"
    assert lines[3] == "2 of them with annotations, 0.03 h:"
    assert lines[4] == "(a) false openings an hour: 0.00 (0.00-0.00)"
    assert lines[7] == "runs of 3 and more found: 1 of 1; of 5 and more: 1 of 1; open by beat 3: 1 of 1"


def test_without_annotations_there_are_openings_only(command):
    code, out, _ = command("bare", *SECONDS)
    assert code == 0
    assert out.splitlines()[-1] == "no annotations: which openings are false is not known"


def test_json_has_all_recordings_and_the_total(command):
    code, out, _ = command("run", "bare", "--json", *SECONDS)
    said = orjson.loads(out)
    run, bare = said["recordings"]
    assert (code, said["sensitivity"], said["profile_seconds"]) == (0, "normal", 120)
    assert (run["file"], run["lead"], run["openings"], run["annotated"]["found"]) == ("run.hea", "II", 1, 1)
    assert run["episodes"][0]["stretches"][0]["start"] == pytest.approx(162.5, abs=1.5)
    assert bare["annotated"] is None
    assert said["total"]["openings"] == 2
    assert said["total"]["false_per_hour"] == {"value": 0, "low": 0, "high": 0}


def test_a_recording_that_cannot_be_read_is_named_and_the_others_are_judged(command, tmp_path):
    (tmp_path / "torn.edf").write_bytes(b"0       torn")
    code, out, err = command("run", tmp_path / "torn.edf", "calm", *SECONDS)
    first, last = err.splitlines()
    assert (code, [line.split()[0] for line in out.splitlines()[1:3]]) == (2, ["run", "calm"])
    assert first.startswith(f"error: {tmp_path / 'torn.edf'}: ")
    assert last == "error: 1 of 3 recordings could not be judged, for the reasons above"
    _, out, _ = command(tmp_path / "torn.edf", "calm", "--json", *SECONDS)
    assert orjson.loads(out)["recordings"][1]["error"] in first


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none"], "none"),
        (["run", "--lead", "V9"], "run.hea: has no lead 'V9'"),
        (["run", "--hz", "100"], "run: lead 'II' has 250 Hz, not 100: leave the rate (--hz) out"),
        (["x" * 300], "xxx"),
        (["run", "--picture", "here.doc"], "here.doc: a picture is called *.png, *.svg, *.pdf"),
        (["run", "--picture", "nowhere/p.png"], "nowhere/p.png: the folder nowhere is missing: make it first"),
        (["run", "run.hea", "--annotations", "out"], "out: two recordings are called 'run': judge them one after"),
        (["run", "--annotations", "run.hea/out"], "run.hea/out: is no folder and cannot be made: Not a directory"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(command, arguments, sentence):
    code, _, err = command(*arguments)
    assert (code, len(err.splitlines())) == (2, 1)
    assert err.startswith(f"error: {sentence}")


@pytest.mark.parametrize("seconds", ["nan", "119", "inf"])
def test_learning_takes_two_minutes_to_a_day(command, seconds):
    code, out, err = command("run", "--profile-seconds", seconds)
    assert (code, out) == (2, "")
    assert "Invalid value for '--profile-seconds'" in err


def test_a_recording_too_short_to_learn_from_is_said_not_to_be_judged(command, tmp_path):
    code, out, err = command(files.write_wfdb(tmp_path), *SECONDS)
    assert (code, out.splitlines()[1].split()[:4]) == (2, ["100", "0.00", "0", "-"])
    assert "has learned no normal, so nothing was judged" in err.splitlines()[0]
    assert err.splitlines()[1] == "error: no recording was judged"


def test_a_source_that_is_sick_while_it_learns_is_said_to_be_judged_by_a_doubtful_normal(command, tmp_path):
    path, _ = made_up.write(tmp_path, "sick", "NNNV" * 70)
    code, out, err = command(path, *SECONDS)
    assert (code, out.splitlines()[1].split()[0]) == (0, "sick")
    assert err.startswith(f"{path}: was judged by a normal that is in doubt: of its first beats ")


def test_verdicts_become_annotations_beside_which_the_alarm_is_noted(command, tmp_path):
    assert command("run", "calm", "--annotations", tmp_path / "new", *SECONDS)[0] == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["calm.alarm", "run.alarm"]
    assert b"alarm opened, priority" in (tmp_path / "new" / "run.alarm").read_bytes()
    assert b"alarm" not in (tmp_path / "new" / "calm.alarm").read_bytes()


def test_a_picture_shows_every_sensitivity_and_needs_runs(command, tmp_path):
    assert command("run", "calm", "--picture", tmp_path / "p.svg", *SECONDS)[0] == 0
    assert (tmp_path / "p.svg").read_text().count("<!-- ") > 3
    code, _, err = command("calm", "--picture", tmp_path / "none.png", *SECONDS)
    assert (code, (tmp_path / "none.png").exists()) == (2, False)
    assert "is not drawn: no judged recording has annotated runs of three ventricular beats" in err


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [("scipy", (), "recordings"), ("matplotlib", ("--picture", "p.png"), "trainer")],
)
def test_a_missing_extra_is_named_before_any_work(tmp_path, package, arguments, extra):
    code = f"import sys; sys.modules[{package!r}] = None; from monitor.cli import main; main()"
    line = [sys.executable, "-c", code, "backtest", "none", *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"pip install 'ecg-monitor[{extra}]'" in done.stderr
