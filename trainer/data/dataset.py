"""Beats to learn from and beats to judge by: ECG5000 in any of its forms, or anybody's own file.

ECG5000 keeps its official split. A file of one's own with labels is split in its order: of the normal and of the
abnormal beats each, the first 80 % are for training and the last 20 % for the test, so that later beats judge what was
learnt from earlier ones, and neighbours in time do not stand on both sides. Without labels all are taken as normal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats import beat_file
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.beats.beat_file import BeatFile

TRAIN, TEST = "ECG5000_TRAIN", "ECG5000_TEST"
FORMS = (".tsv", ".txt")
TENSORFLOW = "ecg.csv"
OFFICIAL_TRAIN_BEATS = 500
OFFICIAL_FINGERPRINTS = (
    "81f8794dad6f1a472994aa93a16f79157486c68997548334195e014f9a6fc9ff",
    "3541d6d49a145886677b1e6ee73a51960db5f98241ab1ae0cc40dbc4909fd068",
)
OFFICIAL_NAME = "ECG5000, official split"
OFFICIAL_SOURCE = "ECG5000: beats of record chf07 (BIDMC CHF database, 250 Hz), each interpolated to 140 samples"
OFFICIAL_HZ = 180.0  # 17,998,834 samples at 250 Hz hold 92,584 beats: 0.78 s a beat on average
TRAIN_SHARE = 0.8
KINDS = {1: "normal", 2: "R-on-T PVC", 3: "PVC", 4: "supraventricular or ectopic", 5: "unclassified"}  # its classes


@dataclass(frozen=True, slots=True)
class DatasetPart:
    """Beats with their labels: (n, 140) in any unit, (n,), and ECG5000's class of each (n,) where a file has it."""

    samples: NDArray[np.float32]
    abnormal: NDArray[np.bool_]
    classes: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def normal_samples(self) -> NDArray[np.float32]:
        return self.samples[~self.abnormal]

    def only(self, rows: NDArray[np.bool_] | slice) -> DatasetPart:
        return DatasetPart(
            self.samples[rows], self.abnormal[rows], None if self.classes is None else self.classes[rows]
        )


@dataclass(frozen=True, slots=True)
class Dataset:
    """What to learn from, what to judge by (None when there is nothing), and what had to be assumed."""

    name: str
    source: str
    nominal_hz: float | None
    train: DatasetPart
    test: DatasetPart | None
    notes: tuple[str, ...] = ()


def read(path: Path) -> Dataset:
    """Beats of a folder with ECG5000, or of a file.

    Raises RefusedError, naming the file and what was expected.
    """
    if path.is_dir():
        return _folder(path)
    file = beat_file.read(path)
    if file.abnormal is None:
        part = DatasetPart(file.samples, np.zeros(len(file.samples), np.bool_))
        note = f"{path.name} has no labels: all {len(part):,} beats are taken as normal, none are left to judge by"
        return Dataset(path.name, f"beats of {path.name}", None, part, None, (note,))
    return _tensorflow(path, file) or _own(path, file)


def joined(*parts: DatasetPart) -> DatasetPart:
    """One part of several, their classes where all have them."""
    classes = [part.classes for part in parts if part.classes is not None]
    return DatasetPart(
        np.concatenate([part.samples for part in parts]),
        np.concatenate([part.abnormal for part in parts]),
        np.concatenate(classes) if len(classes) == len(parts) else None,
    )


def official_files(folder: Path) -> tuple[Path | None, Path | None]:
    """The training and the test file of a folder, in whatever form. Raises RefusedError."""
    names = _names(folder)
    return _form_of(TRAIN, names), _form_of(TEST, names)


def fingerprint(*parts: DatasetPart) -> str:
    """A sha256 over samples and labels, the same whatever form or order the beats came in."""
    rows = [np.ascontiguousarray(np.column_stack([part.samples, part.abnormal]), "<f4") for part in parts]
    return hashlib.sha256(b"".join(sorted(row.tobytes() for part in rows for row in part))).hexdigest()


def is_official(train: DatasetPart, test: DatasetPart) -> bool:
    """Whether these are the beats of the archive, each on its side of the split."""
    return (fingerprint(train), fingerprint(test)) == OFFICIAL_FINGERPRINTS


def _folder(path: Path) -> Dataset:
    names = _names(path)
    train, test = _form_of(TRAIN, names), _form_of(TEST, names)
    if train and test:
        return _official(path, _labelled(train), _labelled(test))
    if TENSORFLOW in names:
        return read(names[TENSORFLOW])
    raise RefusedError(
        f"{path}: no {TRAIN} and {TEST} ({' or '.join(FORMS)}) and no {TENSORFLOW} in this folder; "
        f"`ecg-trainer fetch` gets them, or name a file of beats"
    )


def _names(folder: Path) -> dict[str, Path]:
    try:
        return {entry.name.lower(): entry for entry in sorted(folder.iterdir())}
    except OSError as error:
        raise RefusedError(f"{folder}: cannot be read: {error.strerror}") from error


def _form_of(part: str, names: dict[str, Path]) -> Path | None:
    forms = ((part + form).lower() for form in FORMS)
    return next((names[name] for name in forms if name in names), None)


def _labelled(path: Path) -> DatasetPart:
    file = beat_file.read(path)
    if file.abnormal is None:
        raise RefusedError(f"{path}: has no labels, where the class of each beat is expected in the first column")
    return DatasetPart(file.samples, file.abnormal, file.classes)


def _official(path: Path, train: DatasetPart, test: DatasetPart) -> Dataset:
    if is_official(train, test):
        return Dataset(OFFICIAL_NAME, OFFICIAL_SOURCE, OFFICIAL_HZ, train, test)
    note = f"{path.name} holds other beats than the archive's ECG5000: figures cannot be compared with published ones"
    return Dataset(path.name, f"beats of {path.name}", None, train, test, (note,))


def _tensorflow(path: Path, file: BeatFile) -> Dataset | None:
    """The official split inside TensorFlow's one file: its first 500 rows are the training part."""
    whole = DatasetPart(file.samples, _labels(file))
    train, test = whole.only(slice(OFFICIAL_TRAIN_BEATS)), whole.only(slice(OFFICIAL_TRAIN_BEATS, None))
    return _official(path, train, test) if is_official(train, test) else None


def _own(path: Path, file: BeatFile) -> Dataset:
    whole = DatasetPart(file.samples, _labels(file), file.classes)
    early = np.zeros(len(whole), np.bool_)
    for abnormal in (False, True):
        rows = np.flatnonzero(whole.abnormal == abnormal)
        early[rows[: round(TRAIN_SHARE * len(rows))]] = True
    note = f"{path.name}: the first {TRAIN_SHARE:.0%} of the normal and of the abnormal beats train, the rest test"
    return Dataset(path.name, f"beats of {path.name}", None, whole.only(early), whole.only(~early), (note,))


def _labels(file: BeatFile) -> NDArray[np.bool_]:
    return np.zeros(len(file.samples), np.bool_) if file.abnormal is None else file.abnormal
