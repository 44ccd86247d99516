"""Model files made to do harm: refused in one sentence, without running them, in bounded time and memory."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from monitor.model import artifact
from tests import models

MIB = 2**20
LIMIT_SECONDS = 10.0
LIMIT_BYTES = 512 * MIB  # above what one good model takes; the worst seen was 374

# Loads each file named on standard input, and tells what it cost: bytes of memory at most so far, seconds, sentence.
JUDGE = """
import json, resource, sys, time
from pathlib import Path
from monitor.model import artifact
from monitor.errors import ArtifactError
for line in sys.stdin:
    began, message = time.perf_counter(), ""
    try:
        artifact.load(Path(line.rstrip("\\n")), "cpu")
    except ArtifactError as error:
        message = str(error)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([peak, time.perf_counter() - began, message]), flush=True)
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "m"
    artifact.save(path, models.model())
    return path


@pytest.fixture(scope="module")
def judge(good):
    """Ask a process that has loaded a good model before; gives (bytes more than it then had, seconds, sentence)."""
    command = [sys.executable, "-c", JUDGE]
    root = Path(artifact.__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:

        def ask(path):
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        before, _, message = ask(good)
        assert message == ""

        def cost(path):
            peak, seconds, sentence = ask(path)
            return peak - before, seconds, sentence

        yield cost
        process.stdin.close()


def assert_refused(judge, path, message):
    more, seconds, sentence = judge(path)
    assert message in sentence
    assert sentence.startswith(f"{path}: ")
    assert sentence.isprintable()
    assert len(sentence) < 600
    assert more < LIMIT_BYTES, f"{more / MIB:.0f} MiB"
    assert seconds < LIMIT_SECONDS


def file_with(header, rest=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def filled(opening, closing=b"", size=8 * MIB):
    """As much of `opening` as a header may have, and what closes it."""
    count = size // (len(opening) + len(closing))
    return opening * count + closing * count


def with_manifest(text):
    return file_with({"__metadata__": {"manifest": text}})


def escaped_numbers():
    return file_with(b'{"__metadata__":{"manifest":"[' + rb"0\u002c" * MIB + b'0]"}}')


def fields(count):
    return "{" + ",".join(f'"{number}":0' for number in range(count)) + "}"


def many_tensors():
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return file_with({f"t{count}": entry for count in range(100_000)} | {"__metadata__": {"manifest": "{}"}})


HOSTILE = {
    "a header that claims 4 GB": (lambda: struct.pack("<Q", 2**32) + b"{}" * MIB, "header length 4,294,967,296"),
    "8 MiB of [": (lambda: file_with(filled(b"[")), "its header is not JSON"),
    "8 MiB of [ and ]": (lambda: file_with(filled(b"[", b"]")), "its header is not JSON"),
    "8 MiB of objects in objects": (lambda: file_with(filled(b'{"a":')), "its header is not JSON"),
    "a manifest of [ and ]": (lambda: with_manifest("[" * 4_000_000 + "]" * 4_000_000), "manifest: its JSON"),
    "many numbers": (
        lambda: with_manifest("[" + "0," * 4_000_000 + "0]"),
        "4,000,000 values, where a model has at most",
    ),
    "many escaped numbers": (escaped_numbers, "1,048,576 values"),
    "a calibration of numbers": (lambda: with_manifest('{"calibration":[' + "0," * 499_990 + "0]}"), "field required"),
    "a calibration of infinities": (
        lambda: with_manifest('{"calibration":[' + "Infinity," * 499_990 + "0]}"),
        "manifest",
    ),
    "many lists": (lambda: with_manifest('{"calibration":[' + "[[]]," * 499_990 + "0]}"), "manifest"),
    "many fields": (lambda: with_manifest(fields(450_000)), "449,999 values, where a model has at most 10,000"),
    "some fields": (lambda: with_manifest(fields(9_900)), "manifest"),
    "many words": (lambda: file_with(fields(450_000).encode()), "no manifest"),
    "a long number": (lambda: with_manifest("9" * 8_000_000), "manifest"),
    "many tensors": (many_tensors, "manifest"),
    "64 MiB without a header": (lambda: bytes(64 * MIB), "its header is not JSON"),
    "a gzip": (lambda: b"\x1f\x8b\x08\x00" + bytes(MIB), "its header is not JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_bounded_time_and_memory(judge, tmp_path, name):
    make, message = HOSTILE[name]
    (tmp_path / "m").write_bytes(make())
    assert_refused(judge, tmp_path / "m", message)


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_not_run(judge, tmp_path, protocol):
    (tmp_path / "m").write_bytes(pickle.dumps(Harm(tmp_path / "harm"), protocol))
    assert_refused(judge, tmp_path / "m", "a pickle" if protocol >= 2 else "not a whole safetensors file")
    assert not (tmp_path / "harm").exists()
    pickle.loads((tmp_path / "m").read_bytes())
    assert (tmp_path / "harm").exists(), "it would have done harm"


def test_a_zip_bomb_is_not_unpacked(judge, tmp_path):
    with zipfile.ZipFile(tmp_path / "m", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("archive/data.pkl", "archive/data/0"):
            archive.writestr(name, bytes(256 * MIB))
    assert (tmp_path / "m").stat().st_size < 2 * MIB
    assert_refused(judge, tmp_path / "m", "this is a zip archive")


def test_a_sparse_file_of_a_terabyte_is_not_read(judge, tmp_path, good):
    (tmp_path / "m").write_bytes(good.read_bytes())
    os.truncate(tmp_path / "m", 2**40)
    assert_refused(judge, tmp_path / "m", "1,099,511,627,776 bytes, where a model has at most")


def test_a_path_that_is_not_a_regular_file_is_neither_read_nor_waited_for(judge, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), Path("/dev/stdin")):
        assert_refused(judge, path, "this is not a file")
    assert_refused(judge, tmp_path / "loop", "Too many levels of symbolic links")
    assert_refused(judge, Path("/proc/self/mem"), "cannot be read")


def edited(data, edit):
    """A model's bytes with other entries in its header."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    edit(header, next(name for name in header if name.endswith("weight")))
    return file_with(header, data[8 + length :])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data_offsets", [0, 2**62]),
        ("data_offsets", [2**63, 2**63 + 4]),
        ("data_offsets", [8, 4]),
        ("data_offsets", [-4, 4]),
        ("data_offsets", [0, 4]),
        ("shape", [2**40, 2**40]),
        ("shape", [2**62, 4]),
        ("shape", [-1]),
        ("shape", []),
        ("shape", [1] * 100_000),
        ("dtype", "F64"),
        ("dtype", "O"),
    ],
)
def test_a_tensor_with_wrong_offsets_is_refused(judge, tmp_path, good, field, value):
    (tmp_path / "m").write_bytes(edited(good.read_bytes(), lambda header, name: header[name].update({field: value})))
    assert_refused(judge, tmp_path / "m", "tensor")


def test_tensors_that_overlap_are_refused(judge, tmp_path, good):
    twice = edited(good.read_bytes(), lambda header, name: header.update(copy=dict(header[name])))
    (tmp_path / "m").write_bytes(twice)
    assert_refused(judge, tmp_path / "m", "its tensors are damaged")


def test_a_tensor_that_appears_twice_is_refused(judge, tmp_path, good):
    data = good.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].rstrip()
    entry = b'"network.0.bias":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}'
    (tmp_path / "m").write_bytes(file_with(header[:-1] + b"," + entry + b"}", data[8 + length :]))
    assert_refused(judge, tmp_path / "m", "its")
