"""The denoiser's model file: a sealed file whose manifest is `DenoiserManifest`.

The detector's file (`monitor.model.artifact`) has the same form and another manifest: a picture has no threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from monitor.errors import ArtifactError, RefusedError
from monitor.model import sealed_file
from monitor.model.sealed_file import UNSEALED, SealedFileError, SealedFormat
from monitor.validation import first_error
from trainer.denoiser.network import DenoiserConfig, apply, rebuild
from trainer.denoiser.noise import Corruption
from trainer.denoiser.score import Quality

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

__all__ = ["UNSEALED", "DenoiserManifest", "DenoiserModel", "load", "save"]

KIND: Literal["image-denoiser"] = "image-denoiser"
MAX_FILE_BYTES = 16 * 1024 * 1024
FORMAT = SealedFormat("a denoiser", MAX_FILE_BYTES, max_header_bytes=1024 * 1024, max_values=10_000)
GOLDEN_SIDE = 10  # pixels; not a multiple of four, so that the padding is proven as well
GOLDEN_TOLERANCE = 1e-3  # largest difference of a golden pixel between two machines, of a brightness of 0 to 1
_GOLDEN_SEED = 11


@dataclass(frozen=True, slots=True)
class DenoiserManifest:
    """Everything that a denoiser says about itself; `golden` is its output for one picture of noise, flattened."""

    kind: Literal["image-denoiser"]
    schema: Literal[1]
    digest: str
    network: DenoiserConfig
    noise: Corruption
    data: dict[str, int | str]
    training: dict[str, int | float | str]
    evaluation: tuple[Quality, ...]
    versions: dict[str, str]
    golden: tuple[float, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class DenoiserModel:
    """A network (n, channels, height, width) → the same, with its manifest."""

    network: nn.Module
    manifest: DenoiserManifest


_MANIFEST = TypeAdapter(DenoiserManifest)


def save(path: Path, model: DenoiserModel) -> None:
    """Write the model's file, whole or not at all. The same model gives the same bytes.

    Raises RefusedError when the place cannot be written to.
    """
    manifest = replace(model.manifest, digest=UNSEALED, golden=_golden(model.network, model.manifest.network.channels))
    weights = {name: tensor.numpy() for name, tensor in model.network.state_dict().items()}
    sealed_file.write(path, sealed_file.seal(_MANIFEST.dump_json(manifest).decode(), weights))


def load(path: Path) -> DenoiserModel:
    """The model in a file, proven on this machine's CPU. Raises ArtifactError when the file is not proven."""
    try:
        data = sealed_file.read(path, FORMAT)
        manifest = _manifest(data)
        model = DenoiserModel(rebuild(manifest.network, _weights(data, manifest.network)), manifest)
        sealed_file.check_digest(data, manifest.digest)
        _check_golden(model)
    except (SealedFileError, RefusedError) as error:
        raise ArtifactError(
            f"{path}: {sealed_file.one_line(error)}; train a denoiser with `ecg-trainer denoiser`"
        ) from None
    return model


def _golden(network: nn.Module, channels: int) -> tuple[float, ...]:
    """The network's output for one picture of noise (channels, GOLDEN_SIDE, GOLDEN_SIDE), flattened."""
    noise = np.random.default_rng(_GOLDEN_SEED).random((1, channels, GOLDEN_SIDE, GOLDEN_SIDE), np.float32)
    return tuple(round(value, 6) for value in apply(network, torch.from_numpy(noise)).flatten().tolist())


def _manifest(data: bytes) -> DenoiserManifest:
    text = sealed_file.manifest_text(data, FORMAT)
    if text is None:
        raise SealedFileError("its header has no manifest: this is not a denoiser that `ecg-trainer` wrote")
    if f'"{KIND}"' not in text:
        raise SealedFileError("this is another model, where a denoiser is expected")
    try:
        manifest = from_json(text)
        manifest["network"] = {"design": 1} | manifest["network"]  # files from before the second design do not name it
        return _MANIFEST.validate_json(to_json(manifest))
    except ValidationError as error:
        raise SealedFileError(f"manifest: {first_error(error)}") from None
    except (ValueError, KeyError, TypeError):
        raise SealedFileError("its header has no manifest: this is not a denoiser that `ecg-trainer` wrote") from None


def _weights(data: bytes, config: DenoiserConfig) -> dict[str, NDArray[np.float32]]:
    """Every weight by name, provided that exactly those that the network asks for are there, and finite."""
    weights = sealed_file.tensors(data)
    if {name: array.shape for name, array in weights.items()} != config.shapes:
        raise SealedFileError(
            f"its tensors are not those of network {config.network!r} with {config.channels} channels"
        )
    sealed_file.check_finite(weights)
    return weights


def _check_golden(model: DenoiserModel) -> None:
    """Raise SealedFileError unless the picture of noise comes out here as it did where the model was made."""
    found = np.array(_golden(model.network, model.manifest.network.channels))
    expected = np.array(model.manifest.golden)
    if found.shape != expected.shape or not np.abs(found - expected).max() <= GOLDEN_TOLERANCE:
        raise SealedFileError("its golden picture comes out otherwise on this machine")
