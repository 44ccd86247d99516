"""The denoiser's model file: one safetensors file, its manifest in the header. Loading runs no code.

The same idea as `monitor.artifact` has for detectors, with a manifest of its own: a picture has no threshold.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import safetensors
import safetensors.numpy
import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from monitor.errors import ArtifactError, RefusedError
from trainer.denoiser.network import DenoiserConfig, apply, rebuild
from trainer.denoiser.noise import Corruption
from trainer.denoiser.score import Quality

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

KIND: Literal["image-denoiser"] = "image-denoiser"
UNSEALED = "0" * 64
MAX_FILE_BYTES = 16 * 1024 * 1024
LENGTH_BYTES = 8
GOLDEN_SIDE = 10  # no multiple of four: the padding is proven as well
GOLDEN_TOLERANCE = 1e-3
_GOLDEN_SEED = 11


@dataclass(frozen=True, slots=True)
class DenoiserManifest:
    """Everything that a denoiser says about itself; `golden` is what it makes of a picture of noise."""

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
    """A network that can say what it is."""

    network: nn.Module
    manifest: DenoiserManifest


_MANIFEST = TypeAdapter(DenoiserManifest)


class _Doubt(Exception):  # noqa: N818  # what is wrong with a file; never leaves this room
    pass


def save(path: Path, model: DenoiserModel) -> None:
    """Write the model under a temporary name, then rename: never half a file. Same model, same bytes.

    Raises RefusedError when the place cannot be written to.
    """
    data = _sealed(model)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def load(path: Path) -> DenoiserModel:
    """The model in a file. Raises ArtifactError when it cannot prove what it is."""
    try:
        data = _read(path)
        manifest = _manifest(data)
        model = DenoiserModel(rebuild(manifest.network, _weights(data, manifest.network)), manifest)
        _check(data, model)
    except (_Doubt, RefusedError) as error:
        doubt = "".join(character if character.isprintable() else " " for character in str(error)[:300])
        raise ArtifactError(f"{path}: {doubt}; train a denoiser with `ecg-trainer denoiser`") from None
    return model


def _sealed(model: DenoiserModel) -> bytes:
    """The file's bytes. The digest is taken over all of them with zeros in its own place."""
    manifest = replace(model.manifest, digest=UNSEALED, golden=_golden(model.network, model.manifest.network.channels))
    weights = {name: tensor.numpy() for name, tensor in model.network.state_dict().items()}
    data = safetensors.numpy.save(weights, {"manifest": _MANIFEST.dump_json(manifest).decode()})
    return data.replace(UNSEALED.encode(), hashlib.sha256(data).hexdigest().encode(), 1)


def _golden(network: nn.Module, channels: int) -> tuple[float, ...]:
    noise = np.random.default_rng(_GOLDEN_SEED).random((1, channels, GOLDEN_SIDE, GOLDEN_SIDE), np.float32)
    return tuple(round(value, 6) for value in apply(network, torch.from_numpy(noise)).flatten().tolist())


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _Doubt("this is no file")
        if status.st_size > MAX_FILE_BYTES:
            raise _Doubt(f"{status.st_size:,} bytes, where a denoiser has at most {MAX_FILE_BYTES:,}")
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise _Doubt(f"cannot be read: {error.strerror}") from None


def _manifest(data: bytes) -> DenoiserManifest:
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if len(data) < LENGTH_BYTES or LENGTH_BYTES + length > len(data):
        raise _Doubt(f"this is no whole safetensors file ({len(data):,} bytes, header length {length:,})")
    try:
        text = from_json(data[LENGTH_BYTES : LENGTH_BYTES + length])["__metadata__"]["manifest"]
        if f'"{KIND}"' not in text:
            raise _Doubt("this is no denoiser but another model")
        manifest = from_json(text)
        manifest["network"] = {"design": 1} | manifest["network"]  # before there was a second, files did not say
        return _MANIFEST.validate_json(to_json(manifest))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise _Doubt(f"manifest: {'.'.join(map(str, fault['loc']))[:60]}: {fault['msg']}") from None
    except (ValueError, KeyError, TypeError):
        raise _Doubt("its header has no manifest: this is no denoiser of ours") from None


def _weights(data: bytes, config: DenoiserConfig) -> dict[str, NDArray[np.float32]]:
    """Every weight, once exactly those that the network asks for are there, finite and of one kind."""
    try:
        found = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]  # the library has no types
    except safetensors.SafetensorError as error:
        raise _Doubt(f"its tensors are damaged ({error})") from None
    shapes = {name: (tensor["dtype"], tuple(tensor["shape"])) for name, tensor in found.items()}
    if shapes != {name: ("F32", shape) for name, shape in config.shapes.items()}:
        raise _Doubt(f"its tensors are not those of network {config.network!r} with {config.channels} channels")
    weights = {name: np.frombuffer(tensor["data"], "<f4").reshape(tensor["shape"]) for name, tensor in found.items()}
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise _Doubt("a weight is not a finite number")
    return weights


def _check(data: bytes, model: DenoiserModel) -> None:
    digest = model.manifest.digest
    blank = data.replace(digest.encode(), UNSEALED.encode(), 1)
    if len(blank) != len(data) or hashlib.sha256(blank).hexdigest() != digest:
        raise _Doubt("its bytes are not those that were written (the digest differs)")
    found = np.array(_golden(model.network, model.manifest.network.channels))
    expected = np.array(model.manifest.golden)
    if found.shape != expected.shape or not np.abs(found - expected).max() <= GOLDEN_TOLERANCE:
        raise _Doubt("its golden picture comes out otherwise on this machine")
