"""The splits of ECG5000 that published figures were measured on, each from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import train_test_split

from monitor.beats import beat_file
from monitor.errors import RefusedError
from trainer.data import dataset as data
from trainer.data.dataset import DatasetPart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset

OFFICIAL, TENSORFLOW, NORMALS80 = "official", "tensorflow", "normals80"
NAMES = (OFFICIAL, TENSORFLOW, NORMALS80)
TENSORFLOW_STATE = 21  # of its tutorial's train_test_split
TRAIN_SHARE = 0.8
CLASSES = {number: kind for number, kind in data.KINDS.items() if number != beat_file.NORMAL_CLASS}


def split(name: str, folder: Path, seed: int) -> tuple[DatasetPart, DatasetPart]:
    """Training and test part. Raises RefusedError when the folder has not what the split is made of."""
    if name == TENSORFLOW:
        return _tensorflow(folder)
    dataset = data.read(folder)
    if dataset.test is None:
        raise RefusedError(f"{folder}: has no labels, and nothing to judge by")
    return (dataset.train, dataset.test) if name == OFFICIAL else _normals80(dataset, dataset.test, seed)


def classes(source: Path) -> Mapping[bytes, str]:
    """The name of the class of each abnormal beat, by its samples; empty where the files do not say.

    Raises RefusedError when a file cannot be read.
    """
    found: dict[bytes, str] = {}
    for path in data.official_files(source) if source.is_dir() else (source,):
        file = None if path is None else beat_file.read(path)
        if file is not None and file.classes is not None:
            beats = zip(file.classes.tolist(), file.samples, strict=True)
            found |= {samples.tobytes(): CLASSES[number] for number, samples in beats if number in CLASSES}
    return found


def class_names(part: DatasetPart, known: Mapping[bytes, str]) -> NDArray[np.str_]:
    """(n,) names; empty for normal beats and for those whose class is not known."""
    return np.array([known.get(beat.tobytes(), "") for beat in part.samples])


def _tensorflow(folder: Path) -> tuple[DatasetPart, DatasetPart]:
    """As the tutorial splits its one file; which rows are judged depends on the order and number of its lines."""
    path = folder / data.TENSORFLOW if folder.is_dir() else folder
    if not path.is_file():
        raise RefusedError(f"{folder}: the split is made of TensorFlow's {data.TENSORFLOW}, which is not there")
    file = beat_file.read(path)
    if file.abnormal is None:
        raise RefusedError(f"{path}: has no labels, and nothing to judge by")
    rows = train_test_split(np.arange(len(file.samples)), test_size=1 - TRAIN_SHARE, random_state=TENSORFLOW_STATE)
    train, test = (DatasetPart(file.samples[each], file.abnormal[each]) for each in rows)
    return train, test


def _normals80(dataset: Dataset, test: DatasetPart, seed: int) -> tuple[DatasetPart, DatasetPart]:
    """80 % of all normal beats to learn from; the others and every abnormal one to judge by."""
    whole = data.joined(dataset.train, test)
    normals = np.random.default_rng(seed).permutation(np.flatnonzero(~whole.abnormal))
    learnt = np.zeros(len(whole), np.bool_)
    learnt[normals[: round(TRAIN_SHARE * len(normals))]] = True
    return whole.only(learnt), whole.only(~learnt)
