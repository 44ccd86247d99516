"""`is_recording`: recordings and files of beats are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.publishing.file_kind import is_recording
from tests.recordings.files import edf

ROW = ",".join(["0.5"] * 140)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", f"{ROW}\n", False),
        ("a.csv", f"{ROW},1\n", False),
        ("a.txt", "  " + ROW.replace(",", "   "), False),
        ("a.csv", "time,II\n0.000,0.1\n", True),
        ("a.csv", "\n0.1\n0.2\n", True),
        ("a.tsv", "0.1\t0.2\n", True),
        ("a.csv", "0,1;0,2\n", True),
        ("a.csv", "", False),
        ("a.npy", "0.1\n", False),
        ("a.edf", "", True),
        ("a.dat", "", True),
    ],
)
def test_a_table_with_few_columns_is_a_recording(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert is_recording(tmp_path / name) is expected


def test_edf_is_known_by_its_content(tmp_path):
    edf().write(tmp_path / "export")
    assert is_recording(tmp_path / "export")


@pytest.mark.parametrize("name", ["", ".", "/", "x" * 5000])
def test_a_path_that_is_no_file_is_left_to_whoever_opens_it(name):
    assert isinstance(is_recording(Path(name)), bool)


def test_a_wfdb_record_is_known_by_its_header(tmp_path):
    (tmp_path / "100.hea").touch()
    (tmp_path / "100").mkdir()
    assert is_recording(tmp_path / "100")
    assert is_recording(tmp_path / "missing")
    assert not is_recording(tmp_path / "missing.npy")
