"""Labels are numbers, letters or words, and which of them is normal is never guessed."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.beats import beat_file
from monitor.beats.beat_file import ReadingRules
from monitor.errors import RefusedError
from tests import models

ROWS = 8
NORMAL = [True, False, True, True, False, True, True, False]


@pytest.fixture
def read(tmp_path):
    """The labels that are read from a CSV with these labels, and the notes."""

    def of(labels, *normal_labels, first=False, name=None):
        rows = models.beats(ROWS).tolist()
        rows = [[label, *row] if first else [*row, label] for row, label in zip(rows, labels, strict=True)]
        if name:
            rows.insert(0, [name, *range(140)] if first else [*range(140), name])
        (tmp_path / "own.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
        found = beat_file.read(tmp_path / "own.csv", ReadingRules(normal_labels))
        assert (found.samples == models.beats(ROWS)).all()
        return found

    return of


def of(normal, abnormal):
    return [normal if each else abnormal for each in NORMAL]


@pytest.mark.parametrize(("normal", "abnormal"), [("N", "V"), ("n", "A"), ("normal", "abnormal"), ("Normal", "PVC")])
@pytest.mark.parametrize("first", [True, False])
def test_letters_and_words_are_read_and_said(read, normal, abnormal, first):
    found = read(of(normal, abnormal), first=first)
    assert (~found.abnormal).tolist() == NORMAL
    assert f"labels: normal: {normal} (5); abnormal: {abnormal} (3)" in found.notes[-1]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("normal", "abnormal"), [("0", "1"), ("3", "7"), ("-1", "1"), ("sinus", "ectopic")])
def test_the_label_that_is_normal_can_be_named(read, normal, abnormal, first):
    found = read(of(normal, abnormal), normal, first=first)
    assert (~found.abnormal).tolist() == NORMAL
    assert found.classes is None


def test_several_labels_can_be_normal(read):
    labels = ["N", "V", "L", "R", "A", "N", "N", "V"]
    assert (~read(labels, "N", "L", "R").abnormal).tolist() == NORMAL


def test_labels_before_the_samples_are_found_and_said(read):
    found = read(of(1, 0), first=True)
    assert (~found.abnormal).tolist() == NORMAL
    assert "the first column is the label" in found.notes[0]
    found = read([1, 2, 1, 1, 3, 1, 1, 5], first=True)
    assert (~found.abnormal).tolist() == NORMAL
    assert found.classes.tolist() == [1, 2, 1, 1, 3, 1, 1, 5]


@pytest.mark.parametrize(
    ("labels", "normal", "message"),
    [
        (of("A", "B"), (), r"all other rows hold no label for normal; the labels are A \(5\), B \(3\)"),
        (of(0, 4), (), "column 141 is 4, where the label 0 or 1 is expected; --normal-label says"),
        (of(0, 1), ("2",), r"no label '2'; the labels are 0 \(5\), 1 \(3\)"),
        (of("N", "V"), ("Q",), r"no label 'Q'; the labels are N \(5\), V \(3\)"),
        (of("N\x1b[2J", "V"), ("Q",), r"N\?\[2J"),
    ],
)
def test_labels_that_do_not_say_what_is_normal_are_refused(read, labels, normal, message):
    with pytest.raises(RefusedError, match=message):
        read(labels, *normal)


@pytest.mark.parametrize("name", ["anomaly", "is_abnormal"])
def test_a_column_called_anomaly_is_not_taken_the_other_way_round(read, name):
    with pytest.raises(RefusedError, match=f"the labels are called '{name}', and 1 is otherwise taken as normal"):
        read(of(0, 1), name=name)
    assert (~read(of(0, 1), "0", name=name).abnormal).tolist() == NORMAL


def test_a_normal_label_for_beats_without_labels_is_refused(tmp_path):
    np.save(tmp_path / "own.npy", models.beats(ROWS))
    with pytest.raises(RefusedError, match="--normal-label is given, but the file has no labels"):
        beat_file.read(tmp_path / "own.npy", ReadingRules(("0",)))
