"""Which files of a folder are recordings."""

from __future__ import annotations

import pytest

from monitor.errors import RecordingError
from monitor.recordings.folder import MAX_RECORDINGS, is_folder, recordings_in
from tests.recordings.files import HZ, write_wfdb


def test_parts_of_records_and_other_files_are_no_recordings(tmp_path):
    for name in ("b", "part"):
        write_wfdb(tmp_path, name)
    (tmp_path / "a.hea").write_text(f"a/1 2 {HZ} 1000\npart 1000\n")
    for name in ("c.EDF", "d.csv", "patients.csv", "notes.txt", "b.atr", "torn.hea"):
        (tmp_path / name).touch()
    assert [path.name for path in recordings_in(tmp_path)] == ["a.hea", "b.hea", "c.EDF", "d.csv", "torn.hea"]


def test_too_many_recordings_and_a_folder_that_is_none_are_refused(tmp_path):
    for number in range(MAX_RECORDINGS + 1):
        (tmp_path / f"{number}.edf").touch()
    with pytest.raises(RecordingError, match="has 2,001 recordings, where at most 2,000 are read"):
        recordings_in(tmp_path)
    with pytest.raises(RecordingError, match=r"0.edf: cannot be read: Not a directory"):
        recordings_in(tmp_path / "0.edf")


def test_a_name_that_the_system_does_not_take_is_no_folder(tmp_path):
    assert [is_folder(tmp_path / name) for name in ("", "x", "x" * 300)] == [True, False, False]
