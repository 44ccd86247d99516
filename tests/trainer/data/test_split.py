"""The splits of ECG5000 that published figures were measured on."""

from __future__ import annotations

import pytest

from monitor.errors import RefusedError
from trainer.data import split


def test_four_fifths_of_the_normals_train_and_the_rest_and_all_abnormals_test(ecg_data):
    train, test = split.split("normals80", ecg_data, 3)
    assert (len(train), train.abnormal.sum()) == (2335, 0)
    assert (len(test), test.abnormal.sum()) == (584 + 2081, 2081)
    again, other = split.split("normals80", ecg_data, 3)[0], split.split("normals80", ecg_data, 4)[0]
    assert (train.samples == again.samples).all()
    assert (train.samples != other.samples).any()


def test_the_tensorflow_split_needs_its_file(tmp_path):
    with pytest.raises(RefusedError, match=r"ecg\.csv, which is not there"):
        split.split("tensorflow", tmp_path, 0)
