"""The classes of beats from the annotations of a recording.

AAMI EC57 sorts the annotated beats into five classes. Codes of WFDB as in de Chazal, O'Dwyer and Reilly (2004),
doi:10.1109/TBME.2004.827359, with the rarer codes B and n beside their kind:

| class | codes |
|---|---|
| normal | N, L, R (bundle branch block), B, e, j, n (escape beats from above the ventricles) |
| supraventricular | A, a, J, S |
| ventricular | V, E, r |
| fusion | F |
| paced or unknown | /, f, Q, ? |

Persistent bundle branch block counts as normal, because a monitor should report what changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.beats.beat_file import NORMAL_CLASS
from monitor.recordings.beat_symbols import NORMAL_SYMBOLS, REACH_SECONDS, VENTRICULAR_SYMBOLS
from trainer.data.datasets import VENTRICULAR_CLASS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.recordings import Annotations

CODES = {  # by the numbers of datasets.KINDS
    NORMAL_CLASS: NORMAL_SYMBOLS,
    6: "AaJS",
    VENTRICULAR_CLASS: VENTRICULAR_SYMBOLS,
    8: "F",
    9: "/fQ?",
}
CLASS_OF = {code: number for number, codes in CODES.items() for code in codes}


@dataclass(frozen=True, slots=True)
class BeatLabels:
    """What the annotations say of n beats."""

    classes: NDArray[np.int8]  # (n,), numbers of datasets.KINDS; 0: no annotation is near
    not_found: int  # annotated beats without one of the n beats


def of_beats(annotations: Annotations | None) -> Annotations | None:
    """The annotations if they label beats; None for notes and marks alone, as EDF+ files may have them."""
    return annotations if annotations and not CLASS_OF.keys().isdisjoint(annotations.symbols) else None


def matched(seconds: NDArray[np.float64], annotations: Annotations) -> BeatLabels:
    """The classes (n,) of beats whose R peaks are at `seconds` (n,), ascending, since the first sample.

    A beat has the class of the annotated beat that is nearest to it, at most REACH_SECONDS away. An annotated beat
    gives its class to one beat only, the nearest. A beat without an annotation has class 0. An annotated beat that
    gives its class to none counts as not found.
    """
    is_beat = np.array([symbol in CLASS_OF for symbol in annotations.symbols], np.bool_)
    known = annotations.seconds[is_beat]
    numbers = np.array([CLASS_OF[symbol] for symbol in annotations.symbols if symbol in CLASS_OF], np.int8)
    classes = np.zeros(len(seconds), np.int8)
    if not len(known) or not len(seconds):
        return BeatLabels(classes, len(known))
    nearest = _nearest(seconds, known)
    distance = np.abs(seconds - known[nearest])
    order = np.argsort(distance, kind="stable")
    order = order[distance[order] <= REACH_SECONDS]
    found, first = np.unique(nearest[order], return_index=True)  # of each annotated beat the nearest beat comes first
    classes[order[first]] = numbers[found]
    return BeatLabels(classes, len(known) - len(found))


def _nearest(seconds: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each of `seconds` (n,), the row of the nearest of `known` (k,), k > 0, ascending."""
    after = np.searchsorted(known, seconds).clip(0, len(known) - 1)
    before = (after - 1).clip(0)
    return np.where(np.abs(known[before] - seconds) <= np.abs(known[after] - seconds), before, after)
