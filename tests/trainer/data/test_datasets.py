"""Data sets are read from every file format, and split into a training part and a test part."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import RefusedError
from trainer.data import datasets
from trainer.data.datasets import DatasetPart


def write_official(folder, dataset, form, fmt="%.9g", separator="\t"):
    for name, part in ((datasets.TRAIN, dataset.train), (datasets.TEST, dataset.test)):
        rows = np.column_stack([np.where(part.abnormal, 2, 1), part.samples])
        np.savetxt(folder / f"{name}{form}", rows, delimiter=separator, fmt=fmt)


def test_the_official_split_is_known_by_its_beats(ecg5000):
    assert ecg5000.name == datasets.OFFICIAL_NAME
    assert (len(ecg5000.train), ecg5000.train.abnormal.sum()) == (500, 208)
    assert (len(ecg5000.test), ecg5000.test.abnormal.sum()) == (4500, 1873)
    assert ecg5000.notes == ()


@pytest.mark.parametrize(("form", "separator"), [(".tsv", "\t"), (".txt", "  "), (".TXT", "  ")])
def test_every_official_form_gives_the_same_beats(ecg5000, tmp_path, form, separator):
    write_official(tmp_path, ecg5000, form, separator=separator)
    found = datasets.read(tmp_path)
    assert found.name == datasets.OFFICIAL_NAME
    assert (found.train.samples == ecg5000.train.samples).all()


@pytest.fixture
def tensorflow(ecg5000, tmp_path):
    """TensorFlow's one file: the official train, then the test in another order."""
    whole = [np.column_stack([part.samples, ~part.abnormal]) for part in (ecg5000.train, ecg5000.test)]
    shuffled = np.random.default_rng(1).permutation(whole[1])
    np.savetxt(tmp_path / "ecg.csv", np.vstack([whole[0], shuffled]), delimiter=",", fmt="%.9g")
    return tmp_path / "ecg.csv"


def test_tensorflows_file_holds_the_official_split(ecg5000, tensorflow):
    for place in (tensorflow, tensorflow.parent):
        found = datasets.read(place)
        assert found.name == datasets.OFFICIAL_NAME
        assert (found.train.samples == ecg5000.train.samples).all()
        assert datasets.fingerprint(found.test) == datasets.fingerprint(ecg5000.test)


def test_other_beats_under_the_official_names_are_recognised(ecg5000, tmp_path):
    write_official(tmp_path, ecg5000, ".tsv", fmt="%.3g")
    found = datasets.read(tmp_path)
    assert found.name != datasets.OFFICIAL_NAME
    assert "cannot be compared" in found.notes[0]


def test_the_fingerprint_sees_every_sample_and_label_but_no_order(ecg5000):
    part = ecg5000.train
    same = DatasetPart(part.samples[::-1], part.abnormal[::-1])
    assert datasets.fingerprint(same) == datasets.fingerprint(part)
    moved, flipped = part.samples.copy(), part.abnormal.copy()
    moved[3, 3], flipped[3] = np.nextafter(moved[3, 3], np.float32(9)), ~flipped[3]
    assert datasets.fingerprint(DatasetPart(moved, part.abnormal)) != datasets.fingerprint(part)
    assert datasets.fingerprint(DatasetPart(part.samples, flipped)) != datasets.fingerprint(part)


def test_beats_without_labels_are_taken_as_normal_with_a_message(own_beats):
    found = datasets.read(own_beats(40, labels=False))
    assert not found.train.abnormal.any()
    assert found.test is None
    assert "all 40 beats are taken as normal" in found.notes[0]


def test_a_labelled_file_is_split_in_its_order(own_beats):
    found = datasets.read(own_beats(50, 10))
    assert (len(found.train), found.train.abnormal.sum()) == (48, 8)
    assert (len(found.test), found.test.abnormal.sum()) == (12, 2)
    assert "the first 80%" in found.notes[0]


@pytest.mark.parametrize("present", [[], [datasets.TRAIN + ".tsv"], [datasets.TEST + ".txt"], ["other.csv"]])
def test_a_folder_without_the_files_is_refused(tmp_path, present):
    for name in present:
        (tmp_path / name).write_text("")
    with pytest.raises(RefusedError, match="ecg-trainer fetch"):
        datasets.read(tmp_path)


def test_an_official_file_without_classes_is_refused(tmp_path):
    for name in (datasets.TRAIN, datasets.TEST):
        np.savetxt(tmp_path / f"{name}.txt", np.ones((3, 140)))
    with pytest.raises(RefusedError, match=r"TRAIN\.txt: has no labels"):
        datasets.read(tmp_path)
