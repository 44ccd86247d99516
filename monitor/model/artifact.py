"""The detector's model file: a sealed file whose manifest is `Manifest`. A file that is not proven is not loaded.

A file is proven when all of this holds: its bytes are those that were written (digest), its weights are those that the
model id names, every tensor has the shape that the manifest gives, and the golden beats have the same scores on this
device as at the trainer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from monitor.errors import ArtifactError, RefusedError
from monitor.model import sealed_file
from monitor.model.manifest import GOLDEN_BEATS, NETWORK, PROJECTION, PROTOTYPES, SCHEMA, Manifest, Model
from monitor.model.network import Network
from monitor.model.scorer import Scorer
from monitor.model.sealed_file import UNSEALED, SealedFileError, SealedFormat
from monitor.validation import first_error

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Manifest", "Model", "load", "save"]

MAX_FILE_BYTES = 64 * 1024 * 1024
FORMAT = SealedFormat("a model", MAX_FILE_BYTES, max_header_bytes=8 * 1024 * 1024, max_values=500_000)
# Besides calibration scores, fewer: each value may be wrong, and the report of one fault takes kilobytes.
FORMAT_WITHOUT_CALIBRATION = replace(FORMAT, max_values=10_000)
GOLDEN_TOLERANCE = 1e-3  # largest relative difference of a golden score between two devices
_MANIFEST = TypeAdapter(Manifest)


def save(path: Path, model: Model) -> None:
    """Write the model's file, whole or not at all. The same model gives the same bytes.

    Raises RefusedError when the place cannot be written to, and when `load` would refuse the manifest. Calibration
    scores fill most of a manifest: with too many of them it is too large.
    """
    text = _MANIFEST.dump_json(replace(model.manifest, digest=UNSEALED)).decode()
    data = sealed_file.seal(text, model.tensors())
    try:
        _manifest(data)  # raises as `load` would
    except SealedFileError as error:
        raise RefusedError(
            f"{path}: this model could not be loaded again ({error}): calibrate with fewer beats"
        ) from None
    sealed_file.write(path, data)


def load(path: Path, device: str) -> Model:
    """The model in a file, proven on the device that will serve it (`auto`, `cpu`, `cuda`, `cuda:N`).

    Raises ArtifactError when the file is not proven, RefusedError when the device is not there.
    """
    try:
        data = sealed_file.read(path, FORMAT)
        manifest = _manifest(data)
        model = _model(manifest, sealed_file.tensors(data))
        sealed_file.check_digest(data, manifest.digest)
        _check_identity(model)
    except (SealedFileError, RefusedError) as error:
        remedy = "train a model with `ecg-trainer ecg`, or point MONITOR_MODEL at one"
        raise ArtifactError(f"{path}: {sealed_file.one_line(error)}; {remedy}") from None
    _check_golden(path, model, Scorer(model, device, GOLDEN_BEATS))
    return model


def _manifest(data: bytes) -> Manifest:
    text = sealed_file.manifest_text(data, FORMAT)
    if text is None:
        raise SealedFileError("its header has no manifest: this is not a model that `ecg-trainer` wrote")
    if '"kind":"image-denoiser"' in text[:100]:
        raise SealedFileError("this is an image denoiser, where a model of beats is expected")
    try:
        _check_before_validation(text)
        return _MANIFEST.validate_json(text)
    except ValidationError as error:
        raise SealedFileError(f"manifest: {first_error(error)}") from None
    except ValueError as error:
        raise SealedFileError(f"manifest: its JSON cannot be read ({error})") from None


def _check_before_validation(text: str) -> None:
    """Refuse what pydantic would explain badly, or in too much memory.

    A schema version that we do not know explains every other fault. pydantic copies the whole manifest for each
    missing field and writes kilobytes for each wrong value, so the number of values is bounded.
    """
    found: object = from_json(text)
    fields = found if isinstance(found, dict) else {}
    if "schema" in fields and fields["schema"] != SCHEMA:
        raise SealedFileError(f"manifest: schema version {fields['schema']!s:.40}, where this version reads {SCHEMA}")
    given = fields.get("calibration")
    scores: list[object] = given if isinstance(given, list) else []
    if not all(isinstance(score, int | float) for score in scores):
        raise SealedFileError("manifest: calibration: its scores are not all numbers")
    sealed_file.check_values(text.count(",") - len(scores), FORMAT_WITHOUT_CALIBRATION)


def _model(manifest: Manifest, tensors: dict[str, NDArray[np.float32]]) -> Model:
    """The detector, provided that exactly the tensors that the manifest asks for are there."""
    expected = {NETWORK + name: shape for name, shape in manifest.network.shapes.items()}
    if manifest.score.projected:
        expected[PROJECTION] = (manifest.score.inputs, manifest.score.inputs)
    if manifest.score.prototypes:
        expected[PROTOTYPES] = (manifest.score.prototypes, manifest.score.inputs)
    found = {name: array.shape for name, array in tensors.items()}
    if found != expected:
        wrong = min(name for name in found | expected if found.get(name) != expected.get(name))
        raise SealedFileError(
            f"tensor {wrong:.40} is {found.get(wrong)}, where the manifest asks for {expected.get(wrong)}"
        )
    sealed_file.check_finite(tensors)
    network = Network(manifest.network, {name: tensors[NETWORK + name] for name in manifest.network.shapes})
    return Model(network, manifest.score, tensors.get(PROJECTION), tensors.get(PROTOTYPES), manifest=manifest)


def _check_identity(model: Model) -> None:
    manifest = model.manifest
    if model.identity() != manifest.model_id:
        raise SealedFileError(f"its model id {manifest.model_id:.40} is not that of its weights")


def _check_golden(path: Path, model: Model, scorer: Scorer) -> None:
    """Raise ArtifactError unless the golden beats score here as they did where the model was made."""
    expected = np.array(model.manifest.golden.scores)
    scores = scorer.score(np.array(model.manifest.golden.samples, np.float32)).score
    with np.errstate(divide="ignore", invalid="ignore"):
        worst = np.max(np.abs(scores - expected) / expected)
    if not worst <= GOLDEN_TOLERANCE:
        raise ArtifactError(
            f"{path}: its golden beats score otherwise on {scorer.device} (relative difference {worst:.2g}, at most "
            f"{GOLDEN_TOLERANCE:g} is allowed); use MONITOR_DEVICE=cpu or train the model again here"
        )
