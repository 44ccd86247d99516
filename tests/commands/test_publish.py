"""`ecg-monitor publish`: what is refused before anything is published."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from monitor.model import artifact
from tests import models
from tests.command_line import invoke, leave_settings_behind
from tests.conftest import REPOSITORY

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `ecg-monitor publish …` beside beats, recordings and a model, without a broker; gives code and sentence."""
    leave_settings_behind(monkeypatch, tmp_path)
    monkeypatch.setenv("MONITOR_BOOTSTRAP_SERVERS", NOWHERE)
    np.save(tmp_path / "beats.npy", models.beats(3))
    (tmp_path / "lead.csv").write_text("0.1\n" * 1000)
    artifact.save(tmp_path / "model.safetensors", models.model())

    def run(*arguments):
        code, _, error = invoke(monkeypatch, capsys, "publish", *arguments)
        return code, error

    return run


LIVE = ("-", "--hz", "250", "--unit", "mV", "--source", "bed-7")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["beats.npy", "-"], "`-` is one live signal"),
        (["beats.npy", "lead.csv"], "beats.npy holds beats and lead.csv is a recording"),
        (["beats.npy", "--speed", "2"], "--speed is for recordings, and these are files of beats"),
        (["beats.npy", "--start", "recording"], "--start recording is for recordings"),
        (["beats.npy", "--source", "a", "--sources", "2"], "one --source, or so many --sources"),
        (["beats.npy", "--source", ""], "a source has 0 bytes"),
        (["lead.csv", "--hz", "250", "--rate", "5"], "--rate is for files of beats, and these are recordings"),
        (["lead.csv"], "lead.csv: "),
        (["lead.csv", "--hz", "250", "--unit", "mV", "--model", "model.safetensors"], "recordings are cut around R"),
        (["lead.csv", "--hz", "250", "--unit", "mV", "--labels"], "lead.csv: has no annotations"),
        (["lead.csv", "--hz", "250", "--unit", "mV", "--start", "soon"], "'soon' is not a time"),
        (["missing"], "missing: is missing"),
        (["lead.csv", "--speed", "0"], "'0' is not a speed"),
        (["lead.csv", "--speed", "1e-320"], "'1e-320' is not a speed: `max` or a number from 0.001 is expected"),
        (["lead.csv", "--start", "9999-12-31T23:59:59Z"], "is not a time from 1971 to 9000"),
        (["beats.npy", "--start", "0001-01-01"], "is not a time from 1971 to 9000"),
        (["-", "--unit", "mV", "--source", "bed-7"], "a live signal needs --hz"),
        (["-", "--hz", "250", "--source", "bed-7"], "a live signal needs --unit"),
        (["-", "--hz", "250", "--unit", "mV"], "needs one --source"),
        ([*LIVE, "--labels"], "--labels is for recordings, and this is a live signal"),
        ([*LIVE, "--start", "now"], "--start is for files of beats and recordings, and this is a live signal"),
        ([*LIVE[:-1], ""], "a source has 0 bytes"),
        (["-", "--hz", "25", *LIVE[3:]], "25 Hz"),
        ([*LIVE[:4], "apples", *LIVE[5:]], "--unit is 'apples'"),
    ],
)
def test_what_cannot_be_published_is_refused_with_a_sentence(command, arguments, sentence):
    code, error = command(*arguments)
    assert code == 2
    assert sentence in error


TABLE = ("--hz", "250", "--unit", "mV")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lead.csv", "--hz", "64", "--unit", "mV"], "has 64 samples a second (Hz), where 100 to 20,000 are expected"),
        (["lead.csv", "lead.csv", *TABLE], "2 leads have the source 'lead-column 0': give each a --source"),
        (["lead.csv", *TABLE, "--source", "a", "--source", "b"], "2 sources for 1 recordings"),
        (["lead.csv", *TABLE, "--source", "a\u202eb"], "characters that are not printable"),
        (["lead.csv", *TABLE, "--start", "recording"], "does not say when it began"),
        (["named.csv", *TABLE], "characters that are not printable: name another with --source"),
        (["lead.csv", "--hz", "250"], "give its --unit: uV"),
        (["lead.csv", "--unit", "mV"], "has no column of times: give the samples a second (--hz)"),
        (["lead.csv", *TABLE, "--column", "0", "--lead", "0"], "are given: give --lead or --column, not both"),
        (["lead.csv", *TABLE, "--labels"], "lead.csv: has no annotations: leave --labels out"),
    ],
)
def test_recordings_that_cannot_be_played_are_refused_before_kafka_is_asked(command, tmp_path, arguments, sentence):
    (tmp_path / "named.csv").write_text("II\u202e\n" + "0.1\n" * 1000)
    code, error = command(*arguments)
    assert (code, "Kafka" in error) == (2, False)
    assert sentence in error


@pytest.mark.slow
def test_a_broker_that_is_not_there_is_an_error_before_the_signal_is_read(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "publish", *LIVE],
        input=b"not a number\n",
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "MONITOR_BOOTSTRAP_SERVERS": NOWHERE},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert b"no Kafka answers at 127.0.0.1:1" in done.stderr
