"""Check that beats which set a model's threshold or evaluate it are not beats that the model was trained on.

A model file knows two things about its training beats: the fingerprint of all of them together, and five of them, its
golden beats. So the whole training part is recognised in any file format and any order, and a selection of it is
recognised if it contains one of the five. A selection without any of the five is not recognised, nor are the same
beats in other units or cut in another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import RefusedError
from trainer.data import datasets, repeats
from trainer.fitting import scoring

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.model.manifest import Model
    from trainer.data.datasets import DatasetPart


def refuse(model: Model, source: Path, *parts: DatasetPart) -> None:
    """Raises RefusedError if the model was trained on one of these parts, on all together, or on beats in them."""
    whole = datasets.joined(*parts)
    if any(is_training_part(model, part) for part in (*parts, whole)) or _has_golden(model, whole):
        raise _refused(source)


def refuse_test(model: Model, source: Path, train: DatasetPart, test: DatasetPart) -> None:
    """Raises RefusedError if the model may have been trained on test beats.

    `train` may be exactly what the model was trained on. If it only shares beats with that, the data were split in
    another way for the training, and some of today's test beats were training beats then.
    """
    refuse(model, source, test)
    if not is_training_part(model, train) and _has_golden(model, train):
        raise _refused(source)


def is_training_part(model: Model, part: DatasetPart) -> bool:
    """Whether the model was trained on exactly these beats, in any order."""
    kept = part.only(scoring.scorable(part.samples))
    if datasets.fingerprint(kept) == model.manifest.data.fingerprint:
        return True
    return datasets.fingerprint(kept.only(repeats.distinct(kept.samples))) == model.manifest.data.fingerprint


def _has_golden(model: Model, part: DatasetPart) -> bool:
    golden = np.array(model.manifest.golden.samples, "<f4")
    return not {beat.tobytes() for beat in golden}.isdisjoint(beat.tobytes() for beat in part.samples.astype("<f4"))


def _refused(source: Path) -> RefusedError:
    return RefusedError(
        f"{source}: the model was trained on these beats, or on some of them; use beats that are new to it"
    )
