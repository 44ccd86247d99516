"""Whether beats that are to set a model's threshold, or to judge it, are among those that it was fitted on.

A model file knows two things of its training beats: the fingerprint of all of them together, and five of them, its
golden beats. So the same beats are recognised in any form and order, and a part of them as soon as it has one of the
five. A part without any of these, and the same beats in other units or cut otherwise, cannot be told from new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import RefusedError
from trainer.data import dataset
from trainer.fitting import train

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.model.manifest import Model
    from trainer.data.dataset import DatasetPart


def refuse(model: Model, source: Path, *parts: DatasetPart) -> None:
    """Raises RefusedError when the model was fitted on any of these parts, on all together, or on beats in them."""
    whole = dataset.joined(*parts)
    if any(is_fitted(model, part) for part in (*parts, whole)) or _has_golden(model, whole):
        raise _refused(source)


def refuse_test(model: Model, source: Path, learnt: DatasetPart, test: DatasetPart) -> None:
    """Raises RefusedError unless the test is kept apart from what the model was fitted on.

    `learnt`, what stands beside the test, may be exactly that; else none of it may, as the line between was another.
    """
    refuse(model, source, test)
    if not is_fitted(model, learnt) and _has_golden(model, learnt):
        raise _refused(source)


def is_fitted(model: Model, part: DatasetPart) -> bool:
    """Whether exactly these beats, in any order, are those that the model was fitted on."""
    return dataset.fingerprint(part.only(train.scorable(part.samples))) == model.manifest.data.fingerprint


def _has_golden(model: Model, part: DatasetPart) -> bool:
    golden = np.array(model.manifest.golden.samples, "<f4")
    return not {beat.tobytes() for beat in golden}.isdisjoint(beat.tobytes() for beat in part.samples.astype("<f4"))


def _refused(source: Path) -> RefusedError:
    return RefusedError(
        f"{source}: the model was fitted on these beats, or on some of them; give it beats that it never saw"
    )
