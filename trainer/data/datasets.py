"""Data sets of beats, with a training part and a test part: ECG5000 in any of its file formats, or a person's own file.

ECG5000 keeps its official split. A person's own file with labels is split in the order of its beats: the first 80 % of
the normal beats and the first 80 % of the abnormal beats are the training part, the others are the test part. So the
test beats are later than the training beats, and few neighbours in time are in different parts. If a file has no
labels, all its beats are taken as normal, and there is no test part.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats import beat_file
from monitor.beats.beat_file import PLAIN, ReadingRules
from monitor.beats.window import R_TO_R, Window
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from monitor.beats.beat_file import BeatFile
    from trainer.data.survey import LeadSurvey

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
OFFICIAL_HZ = 180.0  # the record's 17,998,834 samples at 250 Hz hold 92,584 beats: on average 140 samples in 0.78 s
TRAIN_SHARE = 0.8
KINDS = {
    1: "normal", 2: "R-on-T PVC", 3: "PVC", 4: "supraventricular or ectopic", 5: "unclassified",  # ECG5000's
    6: "supraventricular", 7: "ventricular", 8: "fusion", 9: "paced or unknown",  # of annotations: labels.py
    10: "set aside",
}  # fmt: skip

VENTRICULAR_CLASS, ASIDE_CLASS = 7, 10


@dataclass(frozen=True, slots=True)
class DatasetPart:
    """A training or test part: beats (n, 140) in any unit, labels (n,), and classes (n,) if the file has them.

    `patients` (n,) says whose beats they are. None: of one patient, or not known.
    """

    samples: NDArray[np.float32]
    abnormal: NDArray[np.bool_]
    classes: NDArray[np.int8] | None = None  # numbers of KINDS
    patients: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def normal_samples(self) -> NDArray[np.float32]:
        return self.samples[~self.abnormal]

    def only(self, rows: NDArray[np.bool_] | slice) -> DatasetPart:
        """A part with these rows."""
        classes = None if self.classes is None else self.classes[rows]
        patients = None if self.patients is None else self.patients[rows]
        return DatasetPart(self.samples[rows], self.abnormal[rows], classes, patients)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A training part, a test part (None if there is none), and notes on what was assumed about the beats."""

    name: str
    source: str
    nominal_hz: float | None
    train: DatasetPart
    test: DatasetPart | None
    notes: tuple[str, ...] = ()
    window: Window = R_TO_R  # how the beats were cut
    leads: tuple[LeadSurvey, ...] = ()  # of recordings: what they hold
    aside: DatasetPart | None = None  # of recordings without annotations: beats too strange to be taken as normal


def read(path: Path, rules: ReadingRules = PLAIN) -> Dataset:
    """The beats of a folder with ECG5000, or of a file. The rules say how a file is understood.

    Raises RefusedError, which names the file and what was expected.
    """
    if path.is_dir():
        return _folder(path, rules)
    file = beat_file.read(path, rules)
    if file.abnormal is None:
        part = DatasetPart(file.samples, np.zeros(len(file.samples), np.bool_))
        note = f"{path.name} has no labels: all {len(part):,} beats are taken as normal, and there are no test beats"
        return Dataset(path.name, f"beats of {path.name}", None, part, None, (*file.notes, note))
    return _tensorflow(path, file) or _own(path, file)


def joined(*parts: DatasetPart) -> DatasetPart:
    """The beats of several parts in one. It has classes, and patients, if all of them have."""
    classes = [part.classes for part in parts if part.classes is not None]
    patients = [part.patients for part in parts if part.patients is not None]
    return DatasetPart(
        np.concatenate([part.samples for part in parts]),
        np.concatenate([part.abnormal for part in parts]),
        np.concatenate(classes) if len(classes) == len(parts) else None,
        np.concatenate(patients) if len(patients) == len(parts) else None,
    )


def official_files(folder: Path) -> tuple[Path | None, Path | None]:
    """ECG5000's training file and test file in a folder, in any format. Raises RefusedError if it cannot be read."""
    names = _names(folder)
    return _form_of(TRAIN, names), _form_of(TEST, names)


def early_and_late(whole: DatasetPart) -> tuple[DatasetPart, DatasetPart]:
    """The first TRAIN_SHARE of the normal and of the abnormal beats, and the others."""
    early = np.zeros(len(whole), np.bool_)
    for abnormal in (False, True):
        rows = np.flatnonzero(whole.abnormal == abnormal)
        early[rows[: round(TRAIN_SHARE * len(rows))]] = True
    return whole.only(early), whole.only(~early)


def holds_ecg5000(folder: Path) -> bool:
    """Whether a folder has files named as those of ECG5000. Raises RefusedError if it cannot be read."""
    names = _names(folder)
    return TENSORFLOW in names or bool(_form_of(TRAIN, names) and _form_of(TEST, names))


def fingerprint(*parts: DatasetPart) -> str:
    """A sha256 over samples and labels. It does not depend on the order of the beats or on the file format."""
    rows = [np.ascontiguousarray(np.column_stack([part.samples, part.abnormal]), "<f4") for part in parts]
    return hashlib.sha256(b"".join(sorted(row.tobytes() for part in rows for row in part))).hexdigest()


def is_official(train: DatasetPart, test: DatasetPart) -> bool:
    """Whether these are the beats of ECG5000, in the two parts of its official split."""
    return (fingerprint(train), fingerprint(test)) == OFFICIAL_FINGERPRINTS


def _folder(path: Path, rules: ReadingRules) -> Dataset:
    names = _names(path)
    train, test = _form_of(TRAIN, names), _form_of(TEST, names)
    if train and test:
        return _two_files(path, _labelled(train, rules), _labelled(test, rules))
    if TENSORFLOW in names:
        return read(names[TENSORFLOW], rules)
    raise RefusedError(
        f"{path}: this folder has neither {TRAIN} and {TEST} ({' or '.join(FORMS)}) nor {TENSORFLOW}, nor recordings; "
        f"download them with `ecg-trainer fetch`, or name a file of beats"
    )


def _names(folder: Path) -> dict[str, Path]:
    try:
        return {entry.name.lower(): entry for entry in sorted(folder.iterdir())}
    except OSError as error:
        raise RefusedError(f"{folder}: cannot be read: {error.strerror}") from error


def _form_of(part: str, names: dict[str, Path]) -> Path | None:
    forms = ((part + form).lower() for form in FORMS)
    return next((names[name] for name in forms if name in names), None)


def _labelled(path: Path, rules: ReadingRules) -> DatasetPart:
    file = beat_file.read(path, rules)
    if file.abnormal is None:
        raise RefusedError(f"{path}: has no labels; the class of each beat is expected in the first column")
    return DatasetPart(file.samples, file.abnormal, file.classes)


def _two_files(path: Path, train: DatasetPart, test: DatasetPart) -> Dataset:
    if is_official(train, test):
        return Dataset(OFFICIAL_NAME, OFFICIAL_SOURCE, OFFICIAL_HZ, train, test)
    note = f"the beats of {path.name} are not those of ECG5000: figures cannot be compared with published ones"
    return Dataset(path.name, f"beats of {path.name}", None, train, test, (note,))


def _tensorflow(path: Path, file: BeatFile) -> Dataset | None:
    """The official split, if this is TensorFlow's file of all ECG5000: its first 500 rows are the training part."""
    whole = DatasetPart(file.samples, _labels(file))
    train, test = whole.only(slice(OFFICIAL_TRAIN_BEATS)), whole.only(slice(OFFICIAL_TRAIN_BEATS, None))
    return _two_files(path, train, test) if is_official(train, test) else None


def _own(path: Path, file: BeatFile) -> Dataset:
    whole = DatasetPart(file.samples, _labels(file), file.classes)
    train, test = early_and_late(whole)
    note = (
        f"{path.name}: the first {TRAIN_SHARE:.0%} of the normal and of the abnormal beats are for training, "
        "the others for the test"
    )
    return Dataset(path.name, f"beats of {path.name}", None, train, test, (*file.notes, note))


def _labels(file: BeatFile) -> NDArray[np.bool_]:
    return np.zeros(len(file.samples), np.bool_) if file.abnormal is None else file.abnormal
