"""Files of beats are read in every form, and a wrong one is refused by line and column."""

from __future__ import annotations

import contextlib
import gzip
import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.beats import beat_file
from monitor.errors import RefusedError
from tests import models


@pytest.fixture
def file(tmp_path):
    return tmp_path / "beats"


def line(values, separator=","):
    return separator.join(map(str, values)) + "\n"


def lines(rows, separator=","):
    return "".join(line(row, separator) for row in rows)


def labelled(samples, labels, first):
    columns = [np.array(labels)[:, None], samples] if first else [samples, np.array(labels)[:, None]]
    return np.hstack(columns).tolist()


def refusal(file):
    with pytest.raises(RefusedError) as caught:
        beat_file.read(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("separator", ["\t", "  "])
def test_the_official_form_has_the_class_first(file, separator):
    samples = models.beats(5)
    file.write_text(lines(labelled(samples, [1, 2, 3, 4, 5], first=True), separator))
    found = beat_file.read(file)
    assert (found.samples == samples).all()
    assert found.classes.tolist() == [1, 2, 3, 4, 5]
    assert found.abnormal.tolist() == [False, True, True, True, True]


def test_a_csv_has_the_label_last_and_one_is_normal(file):
    samples = models.beats(2)
    file.write_text(lines(labelled(samples, [1.0, 0.0], first=False)))
    found = beat_file.read(file)
    assert (found.samples == samples).all()
    assert found.abnormal.tolist() == [False, True]
    assert found.classes is None


@pytest.mark.parametrize("separator", [",", "\t"])
def test_without_labels_there_are_none(file, separator):
    file.write_text(lines(models.beats(3).tolist(), separator))
    assert beat_file.read(file).abnormal is None
    assert beat_file.read(file).samples.shape == (3, 140)
    assert beat_file.read(file).notes == ()


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2", "u1"])
def test_an_npy_of_any_numbers_is_read(file, dtype):
    array = np.arange(280).reshape(2, 140).astype(dtype)
    file.write_bytes(npy(array))
    assert (beat_file.read(file).samples == array.astype(np.float32)).all()


def test_an_npy_has_the_label_last(file):
    file.write_bytes(npy(np.hstack([models.beats(2), [[0], [1]]])))
    assert beat_file.read(file).abnormal.tolist() == [True, False]


@pytest.mark.parametrize(
    "header",
    [
        line(f"sample {place}" for place in range(140)),
        line(range(140)),
        '"a",' * 139 + '"b"\n',
        "\ufeff" + "b," * 139 + "b\n",
    ],
)
def test_a_header_line_is_skipped(file, header):
    file.write_text(header + lines(models.beats(2).tolist()))
    assert len(beat_file.read(file).samples) == 2


def test_empty_lines_and_foreign_line_ends_are_skipped(file):
    file.write_text("\n" + lines(models.beats(2).tolist()).replace("\n", "\r\n\r\n"), newline="")
    assert len(beat_file.read(file).samples) == 2


BEAT = [0.5] * 140


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no beats"),
        ("\n \n", "holds no beats"),
        (line(f"x{place}" for place in range(140)), "holds no beats"),
        (line(BEAT[:139]), "line 1 has 139 columns, where 140 samples"),
        (line([*BEAT, 1, 1]), "line 1 has 142 columns"),
        (line(BEAT) + line([*BEAT, 1]), "line 2 has 141 columns, where the lines before it have 140"),
        (line(BEAT) + line([*BEAT[:7], "abc", *BEAT[8:]]), "line 2, column 8 is 'abc', where a number"),
        (line(BEAT) + line([*BEAT[:7], "", *BEAT[8:]]), "line 2, column 8 is ''"),
        (line(BEAT) + "\n" + line([*BEAT[:-1], "nan"]), "line 3, column 140 is nan"),
        (line([*BEAT[:-1], "-inf"]), "line 1, column 140 is -inf"),
        (line([*BEAT[:-1], "2e9"]), "line 1, column 140 is 2e+09, where a number within"),
        (line([*BEAT, 2]), "line 1, column 141 is 2, where the label 0 or 1"),
        (line([7, *BEAT], "\t"), "line 1, column 1 is 7, where a class from 1 to 5"),
        (line([1, *BEAT[:-1], "nan"], "\t"), "line 1, column 141 is nan"),
        ("0.5\n0.6\n", "line 1 has 1 column, where 140 samples, or 141 columns with a label, are expected; one number"),
        (line(BEAT * 2), "line 1 has 280 columns, where 140 samples, or 141 columns with a label, are expected; --res"),
        ("x" * 300_000, "line 1 is longer than"),
    ],
)
def test_a_wrong_line_is_named(file, text, message):
    file.write_text(text)
    assert message in refusal(file)


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(range(128, 256)) * 9, "line 1 is not text"),
        (npy(np.array([{}, None]), allow_pickle=True), "not a numeric NPY array"),
        (npy(np.zeros((3, 140)))[:500], "not a numeric NPY array"),
        (npy(np.zeros((3, 140)))[:9], "not a numeric NPY array"),
        (npy(np.zeros((3, 140))).replace(b"(3, 140)", b"(9999999999, 140)"), "not a numeric NPY array"),
        (npy(np.zeros(140)), "float64 of shape (140,), where numbers"),
        (npy(np.zeros((3, 141, 1))), "of shape (3, 141, 1)"),
        (npy(np.zeros((3, 139))), "shape (3, 139) has 139 columns, where 140 samples"),
        (npy(np.zeros((0, 140))), "shape (0, 140)"),
        (npy(np.zeros((3, 140), complex)), "complex128 of shape"),
        (npy(np.full((3, 140), np.nan)), "row 1, column 1 is nan"),
        (b"PK\x03\x04rest", "this is not a complete zip archive"),
    ],
)
def test_a_wrong_binary_file_is_named(file, content, message):
    file.write_bytes(content)
    assert message in refusal(file)


@pytest.mark.parametrize("names", [("x", "y"), ("X", "labels"), ("arr_0", "arr_1"), ("beats", None), ("own", None)])
def test_an_npz_holds_the_beats_and_perhaps_their_labels(file, names):
    beats, labels = names
    arrays = {beats: models.beats(3)} | ({} if labels is None else {labels: np.array([1, 0, 1])})
    with file.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    found = beat_file.read(file)
    assert (found.samples == models.beats(3)).all()
    assert (None if found.abnormal is None else found.abnormal.tolist()) == (None if labels is None else [0, 1, 0])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.npy": b"", "b.npy": b""}, "holds a, b, where one array is expected, or x with the beats and y"),
        ({"x.npy": npy(np.zeros((3, 140))), "y.npy": npy(np.zeros(2))}, "labels of shape (2,) do not fit"),
        ({"x.npy": npy(np.zeros((3, 140)))[:700]}, "not a numeric NPY array"),
        ({"x.npy": npy(np.array([{}]), allow_pickle=True)}, "not a numeric NPY array"),
        ({"xl/workbook.xml": b""}, "this is an Excel workbook: save the table as CSV"),
        ({"beats.csv": b""}, "this is a zip archive, where CSV, TSV, text, NPY or NPZ is expected: unpack it"),
    ],
)
def test_a_zip_that_holds_no_beats_is_refused_with_what_to_do(file, members, message):
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert message in refusal(file)


@pytest.mark.parametrize("content", [lines(models.beats(3).tolist()).encode(), npy(models.beats(3))])
def test_gzip_is_unpacked(file, content):
    file.write_bytes(gzip.compress(content))
    assert (beat_file.read(file).samples == models.beats(3)).all()
    file.write_bytes(gzip.compress(content)[:-30])
    assert "this is not a complete gzip file" in refusal(file)


def zipped(name, content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def test_what_inflates_without_end_is_refused_before_it_takes_memory(file):
    file.write_bytes(gzip.compress(b"1" * 20_000_000))
    tracemalloc.start()
    assert "line 1 is longer than" in refusal(file)
    huge = npy(np.zeros((3, 140))).replace(b"(3, 140)", b"(99999999, 140)")
    for content in (huge, gzip.compress(huge), zipped("x.npy", huge)):
        file.write_bytes(content)
        assert "not a numeric NPY array" in refusal(file)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("magic", "message"),
    [
        (b"\xd0\xcf\x11\xe0", "an Excel workbook"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"MATLAB 5.0", "MATLAB"),
        (b"PAR1", "Parquet"),
        (b"\x80\x04", "a pickle"),
        (b"\xff\xfe1\0", "UTF-16: save it in UTF-8"),
        (b'[[1, 2], "x"]', "JSON"),
        (b"BZh9", "bzip2"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(file, magic, message):
    file.write_bytes(magic + b"rest")
    assert message in refusal(file)


def test_a_path_that_is_not_a_regular_file_is_refused(tmp_path):
    assert "Is a directory" in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "absent")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_junk_is_refused_in_a_sentence(file, content):
    file.write_bytes(content)
    refusal(file)


def packed(name):
    stream = io.BytesIO()
    if name == "npz":
        np.savez_compressed(stream, x=models.beats(3), y=np.array([0, 1, 1]))
        return stream.getvalue()
    content = npy(models.beats(3)) if name.startswith("npy") else lines(models.beats(3).tolist()).encode()
    return gzip.compress(content) if name.endswith("gz") else content


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), name=st.sampled_from(["npz", "npy", "npy.gz", "csv", "csv.gz"]))
def test_a_damaged_file_is_read_or_refused_but_never_crashes(file, data, name):
    content = bytearray(packed(name))
    for _ in range(data.draw(st.integers(1, 4))):
        reach = data.draw(st.sampled_from([100, len(content)]))
        content[data.draw(st.integers(0, min(reach, len(content)) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(8, len(content)))] if data.draw(st.booleans()) else content)
    with contextlib.suppress(RefusedError):
        assert beat_file.read(file).samples.shape[1] == 140
