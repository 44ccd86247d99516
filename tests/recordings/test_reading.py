from __future__ import annotations

import os
import sys
from fractions import Fraction

import numpy as np
import pytest

from monitor.errors import RecordingError, RefusedError
from monitor.recordings import lead_names, open_recording
from tests.recordings.files import edf, wave, write_wfdb


@pytest.fixture(params=["100", "100.hea", "100.dat", "rec.edf", "rec.csv"])
def recording(request, tmp_path):
    write_wfdb(tmp_path)
    rows = "\n".join(f"{mv:.3f},{1000 * mv:.1f}" for mv in wave())
    (tmp_path / "rec.csv").write_text(f"II (mV),V5 (uV)\n{rows}")
    edf().write(tmp_path / "rec.edf")
    return tmp_path / request.param


def rate(path):
    return 250 if path.suffix == ".csv" else None


def test_every_format_gives_the_first_lead_in_millivolts(recording):
    found = open_recording(recording, hz=rate(recording))
    assert found.seconds == 4
    assert found.hz == 250
    np.testing.assert_allclose(found.samples, wave(), atol=2e-4)


def test_every_format_gives_the_lead_of_a_name_of_any_case(recording):
    found = open_recording(recording, lead="v5", hz=rate(recording))
    np.testing.assert_allclose(found.samples, wave(hz=found.hz), atol=6e-3)


def test_every_format_begins_in_the_middle(recording):
    found = open_recording(recording, hz=rate(recording))
    np.testing.assert_allclose(np.concatenate([*found.pieces(2.5)]), wave()[625:], atol=2e-4)
    assert not [*found.pieces(5)]


def test_a_lead_has_a_number_from_0(recording):
    assert open_recording(recording, lead=1, hz=rate(recording)).lead == "V5"
    assert open_recording(recording, lead="1", hz=rate(recording)).lead == lead_names(recording)[1]


@pytest.mark.parametrize("lead", ["aVR", 2, -1, "9" * 5000])
def test_a_lead_that_is_missing_is_refused_with_those_that_there_are(recording, lead):
    with pytest.raises(RecordingError, match=r"has no lead .*1 'V5'"):
        open_recording(recording, lead=lead, hz=rate(recording))


@pytest.mark.parametrize("hz", [0, -1, float("nan"), float("inf"), 10**400, 200])
def test_a_rate_that_is_none_or_another_one_is_refused(recording, hz):
    if hz == 200 and recording.suffix == ".csv":
        pytest.skip("a table without times has the rate that is given")
    with pytest.raises(RecordingError, match=str(recording.parent)):
        open_recording(recording, hz=hz)


def test_a_folder_an_empty_file_a_missing_file_and_an_unknown_one_are_refused(tmp_path):
    (tmp_path / "empty.edf").touch()
    (tmp_path / "notes.edf").write_text("not an EDF file")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "signal.dat").write_bytes(b"1234")
    for name, reason in {
        "": "is a folder",
        "empty.edf": "is empty",
        "notes.edf": "is not a recording",
        "picture.png": "is not a recording",
        "missing.edf": "is missing",
        "missing.hea": "is missing",
        "signal": r"signal\.hea: is missing: it says what",
        "a\0b": "no file",
        "x" * 5000: "cannot be read",
    }.items():
        with pytest.raises(RecordingError, match=reason):
            open_recording(tmp_path / name)
        with pytest.raises(RecordingError, match=reason):
            lead_names(tmp_path / name)


def test_an_edf_file_is_read_whatever_its_name(tmp_path):
    edf().write(tmp_path / "rec.txt")
    assert lead_names(tmp_path / "rec.txt") == ("ECG II", "V5")


def test_only_a_table_has_columns(recording):
    if recording.suffix != ".csv":
        with pytest.raises(RecordingError, match="is no table"):
            open_recording(recording, column=1)


def test_the_error_ends_a_command_and_is_a_value_error_of_the_python_interface():
    assert issubclass(RecordingError, RefusedError)
    assert issubclass(RecordingError, ValueError)


@pytest.mark.parametrize("name", ["rec.csv", "rec.edf"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(RecordingError, match=f"{name}: is a pipe or a device"):
        open_recording(tmp_path / name)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 10**400, "1", None])
def test_samples_begin_at_a_number_of_seconds(recording, seconds):
    with pytest.raises(RecordingError, match=r"from_seconds is .*, where a number of seconds is expected"):
        open_recording(recording, hz=rate(recording)).pieces(seconds)


def test_a_rate_may_be_a_number_of_any_type(recording):
    found = open_recording(recording, hz=Fraction(250))
    assert (found.hz, type(found.hz)) == (250, float)


def test_advice_names_arguments_and_in_a_command_options():
    error = RecordingError("{hz}.csv: has no times", "give the rate ({hz})").after("3 beats went before")
    assert str(error) == "{hz}.csv: has no times: give the rate (hz) (3 beats went before)"
    assert error.for_command() == "{hz}.csv: has no times: give the rate (--hz) (3 beats went before)"


def test_a_missing_library_is_named_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "edfio", None)
    edf().write(tmp_path / "rec.edf")
    with pytest.raises(RecordingError, match=r"without the package edfio: pip install 'ecg-monitor\[recordings\]'"):
        open_recording(tmp_path / "rec.edf")


@pytest.mark.parametrize("given", [{"hz": "250"}, {"unit": 5}, {"lead": 1.5}, {"column": b"II"}])
def test_what_is_of_another_type_is_named(tmp_path, given):
    with pytest.raises(RecordingError, match=f"{next(iter(given))} is .*, of type "):
        open_recording(tmp_path / "rec.csv", **given)


def test_a_path_of_another_type_is_refused():
    with pytest.raises(RecordingError, match="path is None, of type NoneType"):
        open_recording(None)
    with pytest.raises(RecordingError, match="path is None, of type NoneType"):
        lead_names(None)
