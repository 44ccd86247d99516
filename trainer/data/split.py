"""The splits of ECG5000 into a training part and a test part that published figures were measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import train_test_split

from monitor.beats import beat_file
from monitor.beats.beat_file import PLAIN, ReadingRules
from monitor.errors import RefusedError
from trainer.data import datasets
from trainer.data.datasets import DatasetPart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.data.datasets import Dataset

OFFICIAL, TENSORFLOW, NORMALS80 = "official", "tensorflow", "normals80"
NAMES = (OFFICIAL, TENSORFLOW, NORMALS80)
TENSORFLOW_STATE = 21  # the random state of the tutorial's train_test_split
TRAIN_SHARE = 0.8
CLASSES = {number: datasets.KINDS[number] for number in beat_file.CLASSES if number != beat_file.NORMAL_CLASS}


def split(name: str, folder: Path, seed: int, rules: ReadingRules = PLAIN) -> tuple[DatasetPart, DatasetPart]:
    """Training part and test part. Only `normals80` depends on the seed.

    Raises RefusedError if the folder does not have the files for the split.
    """
    if name == TENSORFLOW:
        return _tensorflow(folder, rules)
    dataset = datasets.read(folder, rules)
    if dataset.test is None:
        raise RefusedError(f"{folder}: has no labels, so nothing can be evaluated")
    return (dataset.train, dataset.test) if name == OFFICIAL else _normals80(dataset, dataset.test, seed)


def classes(source: Path, rules: ReadingRules = PLAIN) -> Mapping[bytes, str]:
    """The class name of each abnormal beat, by the bytes of its samples. Empty if the files have no classes.

    Raises RefusedError if a file cannot be read.
    """
    found: dict[bytes, str] = {}
    for path in datasets.official_files(source) if source.is_dir() else (source,):
        file = None if path is None else beat_file.read(path, rules)
        if file is not None and file.classes is not None:
            beats = zip(file.classes.tolist(), file.samples, strict=True)
            found |= {samples.tobytes(): CLASSES[number] for number, samples in beats if number in CLASSES}
    return found


def class_names(part: DatasetPart, known: Mapping[bytes, str]) -> NDArray[np.str_]:
    """Class names (n,) of beats. The name is empty for normal beats and for beats whose class is not known."""
    return np.array([known.get(beat.tobytes(), "") for beat in part.samples])


def _tensorflow(folder: Path, rules: ReadingRules) -> tuple[DatasetPart, DatasetPart]:
    """The tutorial's own random split of its one file. Which rows are test rows depends on their order and number."""
    path = folder / datasets.TENSORFLOW if folder.is_dir() else folder
    if not path.is_file():
        raise RefusedError(f"{folder}: this split needs TensorFlow's file {datasets.TENSORFLOW}, which is not there")
    file = beat_file.read(path, rules)
    if file.abnormal is None:
        raise RefusedError(f"{path}: has no labels, so nothing can be evaluated")
    rows = train_test_split(np.arange(len(file.samples)), test_size=1 - TRAIN_SHARE, random_state=TENSORFLOW_STATE)
    train, test = (DatasetPart(file.samples[each], file.abnormal[each]) for each in rows)
    return train, test


def _normals80(dataset: Dataset, test: DatasetPart, seed: int) -> tuple[DatasetPart, DatasetPart]:
    """Training part: 80 % of all normal beats. Test part: the other normal beats and all abnormal ones."""
    whole = datasets.joined(dataset.train, test)
    normals = np.random.default_rng(seed).permutation(np.flatnonzero(~whole.abnormal))
    train = np.zeros(len(whole), np.bool_)
    train[normals[: round(TRAIN_SHARE * len(normals))]] = True
    return whole.only(train), whole.only(~train)
