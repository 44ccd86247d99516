"""The model file: one safetensors file, the manifest in its header. Loading runs no code and refuses all doubt."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import safetensors.numpy
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from monitor.errors import ArtifactError, RefusedError
from monitor.model.manifest import GOLDEN_BEATS, NETWORK, PROJECTION, PROTOTYPES, SCHEMA, UNSEALED, Manifest, Model
from monitor.model.network import rebuild
from monitor.model.scorer import Scorer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Manifest", "Model", "load", "save"]

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 8 * 1024 * 1024
MAX_VALUES = 500_000
MAX_VALUES_BESIDE_CALIBRATION = 10_000  # each may be wrong, and the report of a fault takes kilobytes
LENGTH_BYTES = 8
GOLDEN_TOLERANCE = 1e-3
_FOREIGN = {b"PK\x03\x04": "a zip archive"} | {bytes((0x80, protocol)): "a pickle" for protocol in range(2, 6)}
_MANIFEST = TypeAdapter(Manifest)


class _Doubt(Exception):  # noqa: N818  # what is wrong with a file; never leaves this room
    pass


def save(path: Path, model: Model) -> None:
    """Write the model under a temporary name, then rename: never half a file. Same model, same bytes.

    Raises RefusedError when the place cannot be written to.
    """
    data = _sealed(model)
    try:
        _manifest(data)
    except _Doubt as error:
        raise RefusedError(
            f"{path}: this model could not be loaded again ({error}): calibrate with fewer beats"
        ) from None
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def load(path: Path, device: str) -> Model:
    """The model in a file, proven on the device that will serve it (`auto`, `cpu`, `cuda`, `cuda:N`).

    Raises ArtifactError when the file cannot prove what it is, RefusedError when the device is not there.
    """
    try:
        data = _read(path)
        manifest = _manifest(data)
        model = _model(manifest, _tensors(data))
        _check_seal(data, model)
    except (_Doubt, RefusedError) as error:
        doubt = _printable(str(error))
        raise ArtifactError(
            f"{path}: {doubt}; train a model with `ecg-trainer ecg`, or point MONITOR_MODEL at one"
        ) from None
    _check_golden(path, model, Scorer(model, device, GOLDEN_BEATS))
    return model


def _printable(text: str) -> str:
    """One short line, whatever names stand in the file."""
    return "".join(character if character.isprintable() else " " for character in text[:300])


def _sealed(model: Model) -> bytes:
    """The file's bytes. The digest is taken over all of them with zeros in its own place."""
    text = _MANIFEST.dump_json(replace(model.manifest, digest=UNSEALED)).decode()
    data = safetensors.numpy.save(model.tensors(), {"manifest": text})
    return data.replace(UNSEALED.encode(), hashlib.sha256(data).hexdigest().encode(), 1)


def _read(path: Path) -> bytes:
    """The whole file, once its size and the length of its header are known to be small."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _Doubt("this is no file")
        if status.st_size > MAX_FILE_BYTES:
            raise _Doubt(f"{status.st_size:,} bytes, where a model has at most {MAX_FILE_BYTES:,}")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _Doubt(f"cannot be read: {error.strerror}") from None
    for magic, name in _FOREIGN.items():
        if data.startswith(magic):
            raise _Doubt(f"this is {name}, where a safetensors file is expected")
    return data


def _header(data: bytes) -> object:
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if len(data) < LENGTH_BYTES or length > MAX_HEADER_BYTES or LENGTH_BYTES + length > len(data):
        raise _Doubt(f"this is no whole safetensors file ({len(data):,} bytes, header length {length:,})")
    text = data[LENGTH_BYTES : LENGTH_BYTES + length]
    _bound(text.count(b","))
    try:
        header: object = from_json(text)
    except ValueError as error:
        raise _Doubt(f"its header is no JSON ({error})") from None
    return header


def _bound(values: int, most: int = MAX_VALUES) -> None:
    if values > most:
        raise _Doubt(f"its header holds {values:,} values, where a model has at most {most:,}")


def _manifest(data: bytes) -> Manifest:
    header = _header(data)
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    text = metadata.get("manifest") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise _Doubt("its header has no manifest: this is no model of ours")
    if '"kind":"image-denoiser"' in text[:100]:
        raise _Doubt("this is an image denoiser, where a model of beats is expected")
    _bound(text.count(","))  # with those that were escaped in the header
    try:
        _bound(text.count(",") - _calibrations(text), MAX_VALUES_BESIDE_CALIBRATION)
        return _MANIFEST.validate_json(text)
    except ValidationError as error:
        raise _Doubt(_sentence(error)) from None
    except ValueError as error:
        raise _Doubt(f"manifest: its JSON cannot be read ({error})") from None


def _calibrations(text: str) -> int:
    """How many scores there are, each a number: the manifest is copied whole for every field that is missing."""
    found: object = from_json(text)
    scores = found.get("calibration") if isinstance(found, dict) else None
    if not isinstance(scores, list):
        return 0
    if not all(isinstance(score, int | float) for score in scores):
        raise _Doubt("manifest: calibration: its scores are not all numbers")
    return len(scores)


def _sentence(error: ValidationError) -> str:
    """The first fault of a manifest; a schema version that we do not know explains all others."""
    faults = error.errors(include_url=False)
    for fault in faults:
        if fault["loc"] == ("schema",) and fault["type"] == "literal_error":
            return f"schema version {fault['input']!s:.40}, where this version reads {SCHEMA}"
    place = ".".join(map(str, faults[0]["loc"]))[:60] or "its JSON"
    return f"manifest: {place}: {faults[0]['msg'][0].lower()}{faults[0]['msg'][1:]}"


def _tensors(data: bytes) -> dict[str, NDArray[np.float32]]:
    try:
        found = safetensors.deserialize(data)  # type: ignore[no-untyped-call]  # the library has no types
    except safetensors.SafetensorError as error:
        raise _Doubt(f"its tensors are damaged ({error})") from None
    for name, tensor in found:
        if tensor["dtype"] != "F32":
            raise _Doubt(f"tensor {name:.40} is {tensor['dtype']}, where F32 is expected")
    return {name: np.frombuffer(tensor["data"], "<f4").reshape(tensor["shape"]) for name, tensor in found}


def _model(manifest: Manifest, tensors: dict[str, NDArray[np.float32]]) -> Model:
    """The detector, once exactly the tensors that the manifest asks for are there."""
    expected = {NETWORK + name: shape for name, shape in manifest.network.shapes.items()}
    if manifest.score.projected:
        expected[PROJECTION] = (manifest.score.inputs, manifest.score.inputs)
    if manifest.score.prototypes:
        expected[PROTOTYPES] = (manifest.score.prototypes, manifest.score.inputs)
    found = {name: array.shape for name, array in tensors.items()}
    if found != expected:
        wrong = min(name for name in found | expected if found.get(name) != expected.get(name))
        raise _Doubt(f"tensor {wrong:.40} is {found.get(wrong)}, where the manifest asks for {expected.get(wrong)}")
    if not all(np.isfinite(array).all() for array in tensors.values()):
        raise _Doubt("a weight is not a finite number")
    network = rebuild(manifest.network, {name: tensors[NETWORK + name] for name in manifest.network.shapes})
    return Model(network, manifest.score, tensors.get(PROJECTION), tensors.get(PROTOTYPES), manifest=manifest)


def _check_seal(data: bytes, model: Model) -> None:
    digest = model.manifest.digest
    blank = data.replace(digest.encode(), UNSEALED.encode(), 1)
    if len(blank) != len(data) or hashlib.sha256(blank).hexdigest() != digest:
        raise _Doubt("its bytes are not those that were written (the digest differs)")
    if model.identity(model.manifest.network) != model.manifest.model_id:
        raise _Doubt(f"its model id {model.manifest.model_id:.40} is not that of its weights")


def _check_golden(path: Path, model: Model, scorer: Scorer) -> None:
    """The five beats must score here as they did where the model was made."""
    expected = np.array(model.manifest.golden.scores)
    scores = scorer.score(np.array(model.manifest.golden.samples, np.float32)).score
    with np.errstate(divide="ignore", invalid="ignore"):
        worst = np.max(np.abs(scores - expected) / expected)
    if not worst <= GOLDEN_TOLERANCE:
        raise ArtifactError(
            f"{path}: its golden beats score otherwise on {scorer.device} (relative difference {worst:.2g}, at most "
            f"{GOLDEN_TOLERANCE:g} is allowed); use MONITOR_DEVICE=cpu or train the model again here"
        )
