"""CSV as people have it: headers, columns that count, semicolons, decimal commas, quotes."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.beats import beat_file
from monitor.beats.beat_file import ReadingRules
from monitor.errors import RefusedError
from tests import models

ROWS = 8
SAMPLES = models.beats(ROWS)
LABELS = [1, 0, 1, 1, 0, 1, 1, 0]


@pytest.fixture
def read(tmp_path):
    """What is read from these rows of cells."""

    def of(rows, separator=",", rules=beat_file.PLAIN):
        text = "".join(separator.join(map(str, row)) + "\n" for row in rows)
        (tmp_path / "own.csv").write_text(text)
        return beat_file.read(tmp_path / "own.csv", rules)

    return of


def labelled(words=None):
    return [[*row, words[label] if words else label] for row, label in zip(SAMPLES.tolist(), LABELS, strict=True)]


def counted(rows, start=0):
    return [[number, *row] for number, row in enumerate(rows, start)]


def as_expected(found, *notes):
    assert (found.samples == SAMPLES).all()
    assert found.abnormal is None or found.abnormal.tolist() == [not label for label in LABELS]
    assert len(found.notes) == len(notes)
    assert all(note in said for note, said in zip(notes, found.notes, strict=True))
    return True


@pytest.mark.parametrize(
    ("header", "is_counted"),
    [
        ([*range(140), "target"], False),
        (["", *range(140), "target"], True),
        (["Unnamed: 0", *(f"t{place}" for place in range(140)), "label"], True),
        (["index", *range(1, 141), "class"], True),
        ([f"{place / 180:.3f}" for place in range(140)] + ["y"], False),
        (range(1, 142), False),
    ],
)
def test_a_header_of_names_numbers_or_times_is_no_beat(read, header, is_counted):
    rows = counted(labelled()) if is_counted else labelled()
    notes = ["the first column counts the rows"] if is_counted else []
    assert as_expected(read([header, *rows]), "line 1 is a header", *notes)


def test_times_without_labels_are_no_beat(read):
    assert as_expected(read([[f"{place * 0.0056:.2f}" for place in range(140)], *SAMPLES.tolist()]), "is a header")


def test_a_header_that_stands_again_in_the_middle_is_skipped(read):
    header, rows = [*range(140), "target"], labelled()
    found = read([header, *rows[:3], header, *rows[3:6], header, *rows[6:]])
    assert as_expected(found, "line 1 is a header", "in line 5 and in 1 more line; skipped")


def test_files_of_different_columns_that_were_put_together_are_refused(read):
    with pytest.raises(RefusedError, match="line 4 is another header than line 1: files of different columns"):
        read([[*range(140), "target"], *labelled()[:2], ["label", *range(140)], *labelled()[2:]])


@pytest.mark.parametrize("start", [0, 1, 4000])
def test_a_column_that_counts_the_rows_is_left_out(read, start):
    assert as_expected(read(counted(SAMPLES.tolist(), start)), "the first column counts the rows and is left out")
    assert as_expected(read(counted(labelled(), start)), "the first column counts the rows and is left out")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (counted(SAMPLES[:, :139].tolist()), "140 columns, 139 of them samples"),
        ([[*row[:139], row[140]] for row in labelled()], "column 140 seems to hold labels, which leaves 139 samples"),
        ([[*row, 0.5, 1] for row in labelled()], "line 1 has 143 columns"),
        ([["bed-1", *row[:70], "x", *row[71:140]] for row in labelled()], "column 1 is 'bed-1', where a number"),
        ([["N", *row] for row in labelled(("V", "N"))], "column 1 is 'N', where a number"),
    ],
)
def test_columns_that_could_be_something_else_are_refused(read, rows, message):
    with pytest.raises(RefusedError, match=message):
        read(rows)


def test_semicolons_and_decimal_commas_are_read(read):
    assert as_expected(read(labelled(), ";"), "divided by semicolons")
    commas = [[str(cell).replace(".", ",") for cell in row] for row in labelled()]
    assert as_expected(read(commas, ";"), "divided by semicolons", "decimal commas")
    quoted = [[f'"{cell}"' for cell in row] for row in commas]
    assert as_expected(read(quoted, ","), "decimal commas")


def test_decimal_commas_beside_points_are_refused(read):
    mixed = [[str(cell).replace(".", ",") for cell in row] for row in labelled()]
    with pytest.raises(RefusedError, match="line 1: the file has numbers with decimal commas and others with points"):
        read([["1.234", *mixed[0][1:]], *mixed], ";")


@pytest.mark.parametrize("separator", [",", ";", "\t", "  "])
def test_quoted_numbers_are_numbers(read, separator):
    rows = [[f'"{cell}"' for cell in row] for row in SAMPLES.tolist()]
    assert (read(rows, separator).samples == SAMPLES).all()


def test_a_separator_at_the_end_of_each_line_and_comments_are_skipped(read):
    rows = [["# by hand"], *([*row, ""] for row in SAMPLES.tolist())]
    assert as_expected(read(rows), "1 line begins with # and is skipped")


def test_a_header_in_latin_1_is_a_header(tmp_path):
    header = ",".join(f"{place} µV" for place in range(140)) + "\n"
    rows = "\n".join(",".join(map(str, row)) for row in SAMPLES.tolist())
    (tmp_path / "own.csv").write_text(header + rows, "latin-1")
    assert as_expected(beat_file.read(tmp_path / "own.csv"), "line 1 is a header")


def test_a_label_longer_than_a_word_is_refused(read):
    with pytest.raises(RefusedError, match="line 2, column 141 is 'xxx"):
        read([[*SAMPLES[0].tolist(), "N"], [*SAMPLES[1].tolist(), "x" * 81]])


def test_a_beat_of_another_length_is_stretched_when_asked(read):
    time = np.linspace(0, 139, 187)
    long = [np.interp(time, np.arange(140), row).tolist() for row in SAMPLES]
    with pytest.raises(RefusedError, match=r"line 1 has 187 columns.*; --resample stretches beats"):
        read(long)
    found = read(long, rules=ReadingRules(resample=True))
    assert np.abs(found.samples - SAMPLES).max() < 1
    assert "warning: beats of 187 samples were stretched" in found.notes[0]
    found = read([[*row, label] for row, label in zip(long, LABELS, strict=True)], rules=ReadingRules(resample=True))
    assert found.abnormal.tolist() == [not label for label in LABELS]
    short = [[*row[:139], row[140]] for row in labelled()]
    assert read(short, rules=ReadingRules(resample=True)).abnormal.tolist() == [not label for label in LABELS]


def test_stretching_keeps_both_ends_and_no_more_than_the_labels_are_taken_away(read):
    ramp = np.add.outer(np.arange(ROWS) / 2, np.linspace(0, 1, 200) ** 2)
    found = read(ramp.tolist(), rules=ReadingRules(resample=True))
    assert np.allclose(found.samples[:, [0, -1]], ramp[:, [0, -1]])
    kinds = [[*row, number % 3] for number, row in enumerate(ramp.tolist())]
    with pytest.raises(RefusedError, match=r"column 201 seems to hold labels.*--normal-label says which"):
        read(kinds, rules=ReadingRules(resample=True))
    assert read(kinds, rules=ReadingRules(("0",), resample=True)).abnormal.tolist() == [0, 1, 1, 0, 1, 1, 0, 1]


CELL = st.sampled_from(["0", "1", "0.5", "1,5", "N", "", '"', "nan", "-1e400", "1e300", "\t", "#", "x" * 90]) | st.text(
    st.characters(blacklist_characters="\n\r", codec="utf-8"), max_size=4
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    separator=st.sampled_from([",", ";", "\t", " ", ", "]),
    ends=st.tuples(st.lists(CELL, max_size=2), st.lists(CELL, max_size=2)),
    cell=CELL,
    rules=st.builds(ReadingRules, st.sampled_from([(), ("0",), ("N",)]), st.booleans()),
    length=st.sampled_from([29, 139, 140, 141, 200]),
)
def test_no_table_makes_a_traceback(read, separator, ends, cell, rules, length):
    rows = [[*ends[0], *map(str, np.arange(length) % (number + 2)), *ends[1]] for number in range(7)]
    rows[3][min(5, len(rows[3]) - 1)] = cell
    with contextlib.suppress(RefusedError):
        assert read(rows, separator, rules).samples.shape[1] == 140
