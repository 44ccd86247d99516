"""Small models whose right answers are known without training."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy
import torch

from monitor.model.manifest import (
    Detector,
    Golden,
    Manifest,
    Model,
    Origin,
    ScoreConfig,
    ThresholdSpec,
    WindowSpec,
)
from monitor.model.network import Network, NetworkConfig
from monitor.model.scorer import Scorer
from monitor.model.sealed_file import UNSEALED
from monitor.model.tensors.network import build, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

PLAIN = ScoreConfig(pool=1, window=140, projected=False)
SMALL = NetworkConfig("stacked", (70, 6, 3))


def beats(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Smooth random walks (count, 140)."""
    return np.random.default_rng(seed).normal(size=(count, 140)).cumsum(axis=1).astype(np.float32)


def nothing(inputs: int) -> Network:
    """A network that reconstructs nothing, so that the residual is the normalised beat itself."""
    config = NetworkConfig("plain", (inputs, 1))
    return Network(config, {name: np.zeros(shape, np.float32) for name, shape in config.shapes.items()})


def everything(inputs: int) -> Network:
    """A network that reconstructs each beat exactly: x = relu(x) - relu(-x)."""
    halves = np.concatenate([np.eye(inputs), -np.eye(inputs)]).astype(np.float32)
    biases = {"0.bias": np.zeros(2 * inputs, np.float32), "2.bias": np.zeros(inputs, np.float32)}
    weights = {"0.weight": halves, "2.weight": np.ascontiguousarray(halves.T)} | biases
    return Network(NetworkConfig("plain", (inputs, 2 * inputs)), weights)


def detector(score: ScoreConfig = PLAIN, projection: NDArray[np.float32] | None = None) -> Detector:
    return Detector(nothing(score.inputs), score, projection)


def small() -> Network:
    """A network with random weights, which are the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return stored(SMALL, build(SMALL))


def model(typical: int = 0, network: Network | None = None) -> Model:
    """A whole model with random weights or these, a projection, golden beats and so many typical ones."""
    net = small() if network is None else network
    score, projection = ScoreConfig(prototypes=typical), np.eye(70, dtype=np.float32) * np.float32(0.5)
    prototypes = np.ascontiguousarray(beats(typical, 3)[:, :70]) if typical else None
    made = Detector(net, score, projection, prototypes)
    scores = Scorer(made, "cpu", 64).score(beats(40)).score
    golden = Golden(tuple(map(tuple, beats(40)[:5].tolist())), tuple(scores[:5].tolist()))
    manifest = Manifest(
        schema=1,
        digest=UNSEALED,
        model_id=made.identity(),
        network=net.config,
        score=score,
        window=WindowSpec(140, 180.0, "random walks"),
        threshold=ThresholdSpec(float(np.sort(scores)[-2]), "by hand", 0.05, 0.9, 40, 2),
        evaluation=None,
        data=Origin("random walks", "none", 40, 0),
        training={"seed": 7},
        versions={},
        golden=golden,
        calibration=tuple(np.sort(scores).tolist()),
    )
    return Model(net, score, projection, prototypes, manifest=manifest)


def parts(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """The manifest, as JSON, and the tensors of a model file."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["manifest"]), safetensors.numpy.load(data)


def forge(path: Path, edit: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change manifest and tensors of a model file, and seal it again, as an attacker who knows the format would."""
    manifest, tensors = parts(path)
    manifest["digest"] = UNSEALED
    edit(manifest, tensors)
    data = safetensors.numpy.save(tensors, {"manifest": json.dumps(manifest)})
    path.write_bytes(data.replace(UNSEALED.encode(), hashlib.sha256(data).hexdigest().encode(), 1))
