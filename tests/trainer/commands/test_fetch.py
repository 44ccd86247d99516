"""`ecg-trainer fetch` as a person runs it."""

from __future__ import annotations


def test_the_command_does_nothing_when_the_beats_are_there(command, ecg_data, tmp_path):
    first = command("fetch", "--out", tmp_path, "--from", ecg_data)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    second = command("fetch", "--out", tmp_path)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "already" in second.stdout
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def test_the_command_that_finds_nothing_exits_1_with_a_sentence(command, tmp_path):
    done = command("fetch", "--out", tmp_path / "out", "--from", tmp_path)
    assert done.returncode == 1
    assert "error: ECG5000 could not be fetched" in done.stderr
    assert "Traceback" not in done.stderr
