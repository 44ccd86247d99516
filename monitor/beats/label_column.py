"""The column of labels in a file of beats: numbers, letters or words, of which some mean normal.

| labels | meaning |
|---|---|
| 0 and 1 | 1 is normal, as in TensorFlow's file |
| 1 to 5, before the samples | 1 is normal, as in ECG5000 |
| letters or words | N or normal is normal, in large or small letters; all others are abnormal |
| any, with `--normal-label` | those that it names are normal |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Cells = Sequence[str] | NDArray[np.float64]

CLASSES = (1, 2, 3, 4, 5)  # of ECG5000: normal, R-on-T PVC, PVC, supraventricular or ectopic, unclassified
NORMAL_CLASS = 1
TENSORFLOW_LABELS = (0, 1)
NORMAL_WORDS = {"n", "norm", "normal", "normal beat"}
LEAST_ROWS = 6  # fewer rows show nothing about a column
MOST_KINDS = 50  # labels of more kinds are not labels
NAMES = {
    "label", "labels", "target", "class", "classes", "y", "category", "type", "symbol", "annotation", "diagnosis",
    "normal", "is_normal", "abnormal", "is_abnormal", "anomaly", "is_anomaly", "outlier",
}  # fmt: skip
ABNORMAL_NAMES = {"abnormal", "is_abnormal", "anomaly", "is_anomaly", "outlier"}
ASK = "--normal-label says which label means normal"


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """What a person says about a file: the labels that mean normal, and whether other lengths are stretched to 140."""

    normal_labels: tuple[str, ...] = ()
    resample: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column of labels stands in its file, for messages."""

    text: str  # such as "beats.csv: line {}, column 3", with {} for the number of the line
    numbers: Sequence[int]  # (n,), of each row's line

    def refused(self, row: int, rest: str) -> RefusedError:
        """The error for a row, from 0: where it stands, and `rest`."""
        return RefusedError(f"{self.text.format(self.numbers[row])} {rest}")


@dataclass(frozen=True, slots=True)
class Labels:
    """What a column of labels says of n beats."""

    abnormal: NDArray[np.bool_]  # (n,)
    classes: NDArray[np.int8] | None  # (n,), 1 to 5 as in ECG5000; None: the labels say only normal or abnormal
    notes: tuple[str, ...] = ()


def read(place: Place, cells: Cells, rules: ReadingRules, *, label_first: bool) -> Labels:
    """The labels in a column. Raises RefusedError for labels that do not say which of them is normal."""
    if rules.normal_labels:
        return _chosen(place, cells, rules)
    if not isinstance(cells, np.ndarray):
        return _words(place, cells)
    is_class = label_first and not np.isin(cells, TENSORFLOW_LABELS).all()
    known, meaning = (CLASSES, "a class from 1 to 5") if is_class else (TENSORFLOW_LABELS, "the label 0 or 1")
    wrong = np.flatnonzero(~np.isin(cells, known))
    if len(wrong):
        raise place.refused(int(wrong[0]), f"is {cells[wrong[0]]:g}, where {meaning} is expected; {ASK}")
    return Labels(cells != NORMAL_CLASS, cells.astype(np.int8) if label_first and (cells > 0).all() else None)


def fits(column: NDArray[np.float64], rules: ReadingRules, *, first: bool) -> bool:
    """Whether all numbers (n,) of a column can be labels. `first`: the column stands before the samples."""
    if rules.normal_labels:
        kinds = np.unique(column[:: max(1, len(column) // 10_000)])
        return len(kinds) <= MOST_KINDS and is_whole(column) and bool(_is_normal(column, rules).any())
    return bool(np.isin(column, TENSORFLOW_LABELS).all() or (first and np.isin(column, CLASSES).all()))


def tells_apart(column: NDArray[np.float64], rules: ReadingRules, *, first: bool) -> bool:
    """Whether a column can hold labels, and holds both normal and abnormal ones."""
    if not fits(column, rules, first=first):
        return False
    normal = _is_normal(column, rules) if rules.normal_labels else column == NORMAL_CLASS
    return bool(normal.any() and not normal.all())


def looks_like_labels(column: NDArray[np.float64]) -> bool:
    """Whether numbers (n,) are few kinds of whole numbers, as no column of samples holds."""
    return (
        len(column) >= LEAST_ROWS
        and is_whole(column)
        and 1 < len(np.unique(column)) <= min(MOST_KINDS, len(column) // 2)
    )


def is_whole(values: NDArray[np.float64]) -> bool:
    """Whether all values are whole numbers."""
    return bool((values == np.rint(values)).all())


def check_name(file: str, name: str, rules: ReadingRules) -> None:
    """Raise RefusedError for a column whose name says that 1 means abnormal, where 1 would be taken as normal."""
    if name in ABNORMAL_NAMES and not rules.normal_labels:
        raise RefusedError(f"{file}: the labels are called {name!r}, and 1 is otherwise taken as normal; {ASK}")


def _chosen(place: Place, cells: Cells, rules: ReadingRules) -> Labels:
    """The labels where `--normal-label` says which ones are normal. Raises RefusedError if none of them occurs."""
    normal = _is_normal(cells, rules)
    if not normal.any():
        wanted = ", ".join(rules.normal_labels)
        raise place.refused(0, f"and all other rows hold no label {wanted!r}; the labels are {_listed(cells, ~normal)}")
    return Labels(~normal, None, (_note(cells, normal),))


def _words(place: Place, words: Sequence[str]) -> Labels:
    """The labels where they are words. Raises RefusedError if none of NORMAL_WORDS occurs."""
    normal = np.array([word.strip().lower() in NORMAL_WORDS for word in words])
    if not normal.any():
        found = _listed(words, ~normal)
        raise place.refused(0, f"and all other rows hold no label for normal; the labels are {found}; {ASK}")
    return Labels(~normal, None, (_note(words, normal),))


def _is_normal(cells: Cells, rules: ReadingRules) -> NDArray[np.bool_]:
    if isinstance(cells, np.ndarray):
        numbers = [float(label) for label in rules.normal_labels if is_number(label)]
        return np.isin(cells, numbers)
    wanted = {label.strip().lower() for label in rules.normal_labels}
    return np.array([word.strip().lower() in wanted for word in cells])


def is_number(text: str) -> bool:
    """Whether a cell of a table is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _note(cells: Cells, normal: NDArray[np.bool_]) -> str:
    others = "no other label occurs" if normal.all() else f"abnormal: {_listed(cells, ~normal)}"
    return f"labels: normal: {_listed(cells, normal)}; {others}"


def _listed(cells: Cells, rows: NDArray[np.bool_]) -> str:
    """The labels of some rows with their numbers, the most frequent ones first."""
    kinds, counts = np.unique(np.asarray(cells)[rows], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [f"{_shown(kinds[place])} ({counts[place]:,})" for place in order[:10]]
    return ", ".join([*shown, *(["…"] if len(kinds) > len(shown) else [])])


def _shown(label: np.str_ | np.float64) -> str:
    if isinstance(label, str):
        return "".join(character if character.isprintable() else "?" for character in label[:20])
    return f"{label:g}"
