"""`ecg-trainer denoise` as a person runs it."""

from __future__ import annotations


def test_a_fault_is_one_sentence_and_exit_code_2(tmp_path, command):
    (tmp_path / "in.png").write_bytes(b"no picture")
    done = command("denoise", "--model", tmp_path / "in.png", tmp_path / "in.png", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "safetensors" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]
