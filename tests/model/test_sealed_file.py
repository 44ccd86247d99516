"""A sealed file is written whole or not at all, and nothing else is touched."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monitor.errors import RefusedError
from monitor.model import sealed_file
from monitor.model.sealed_file import UNSEALED, SealedFileError, SealedFormat

FORMAT = SealedFormat("a test", 1000, max_header_bytes=500, max_values=5)

# Writes the file named on the command line and dies at the moment when the temporary file takes the name.
DIES_BEFORE_RENAME = """
import os, signal, sys
from pathlib import Path
from monitor.model import sealed_file
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sealed_file.write(Path(sys.argv[1]), b"new")
"""


def test_the_file_is_there_under_its_name_and_nothing_else(tmp_path):
    sealed_file.write(tmp_path / "new" / "m", b"first")
    sealed_file.write(tmp_path / "new" / "m", b"second")
    assert [(file.name, file.read_bytes()) for file in (tmp_path / "new").iterdir()] == [("m", b"second")]


def test_a_crash_between_write_and_rename_leaves_the_old_file(tmp_path):
    (tmp_path / "m").write_bytes(b"old")
    root = Path(sealed_file.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", DIES_BEFORE_RENAME, tmp_path / "m"], check=False, cwd=root)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "m").read_bytes() == b"old"
    (left,) = tmp_path.glob(".m.*")
    assert left.read_bytes() == b"new", "the whole file was on the disk before the rename"
    sealed_file.write(tmp_path / "m", b"newer")
    assert (tmp_path / "m").read_bytes() == b"newer", "what a crash left does not stand in the way of the next save"


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch, name):
    def fail(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "m").write_bytes(b"old")
    monkeypatch.setattr(os if name == "fsync" else Path, name, fail)
    with pytest.raises(RefusedError, match="m: cannot be written: No space left on device"):
        sealed_file.write(tmp_path / "m", b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("m", b"old")]


@pytest.mark.parametrize("is_dangling", [True, False])
def test_a_link_at_the_temporary_name_is_not_followed(tmp_path, monkeypatch, is_dangling):
    victim, temporary = tmp_path / "victim", tmp_path / ".m.known"
    if not is_dangling:
        victim.write_bytes(b"precious")
    temporary.symlink_to(victim)
    monkeypatch.setattr(sealed_file, "temporary_path", lambda _: temporary)
    with pytest.raises(RefusedError, match="m: cannot be written: File exists"):
        sealed_file.write(tmp_path / "m", b"new")
    assert victim.exists() != is_dangling
    assert is_dangling or victim.read_bytes() == b"precious"
    assert not (tmp_path / "m").exists()
    assert temporary.is_symlink(), "the link was replaced although this process did not create it"


def test_temporary_names_differ_and_stay_in_the_folder(tmp_path):
    names = {sealed_file.temporary_path(tmp_path / "m") for _ in range(100)}
    assert len(names) == 100
    assert {name.parent for name in names} == {tmp_path}


def test_bytes_and_name_are_on_the_disk_before_the_call_returns(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(handle):
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else os.fstat(handle).st_size)
        fsync(handle)

    def watched_replace(one, other):
        done.append("rename")
        return replace(one, other)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    sealed_file.write(tmp_path / "m", b"12345")
    assert done == [5, "rename", "folder"]


def test_permissions_are_those_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        sealed_file.write(tmp_path / "m", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o640


def test_a_sealed_file_is_read_back_and_verified(tmp_path):
    weights = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}
    sealed_file.write(tmp_path / "m", sealed_file.seal(f'{{"digest":"{UNSEALED}"}}', weights))
    data = sealed_file.read(tmp_path / "m", FORMAT)
    digest = sealed_file.manifest_text(data, FORMAT)[len('{"digest":"') : -2]
    sealed_file.check_digest(data, digest)
    assert np.array_equal(sealed_file.tensors(data)["w"], weights["w"])
    with pytest.raises(SealedFileError, match="the digest differs"):
        sealed_file.check_digest(data.replace(b"w", b"v"), digest)


def test_each_limit_is_held(tmp_path):
    (tmp_path / "m").write_bytes(bytes(1001))
    with pytest.raises(SealedFileError, match="1,001 bytes, where a test has at most 1,000"):
        sealed_file.read(tmp_path / "m", FORMAT)
    long = sealed_file.seal('"' + "x" * 500 + '"', {})
    with pytest.raises(SealedFileError, match="not a whole safetensors file"):
        sealed_file.manifest_text(long, FORMAT)
    with pytest.raises(SealedFileError, match="6 values, where a test has at most 5"):
        sealed_file.manifest_text(sealed_file.seal("0,0,0,0,0,0,0", {}), FORMAT)


def test_what_is_not_a_regular_file_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(RefusedError, match="it is not a regular file"):
        sealed_file.write(pipe, b"new")
    assert pipe.is_fifo()


def test_a_link_is_followed_and_its_target_replaced(tmp_path):
    target, link = tmp_path / "models" / "m", tmp_path / "current"
    sealed_file.write(target, b"old")
    link.symlink_to(target)
    sealed_file.write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
