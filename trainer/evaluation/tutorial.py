"""TensorFlow's tutorial "Intro to Autoencoders", to the letter: its network, training, score and threshold rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from monitor.beats.beat import SAMPLES
from monitor.model.network import NetworkConfig, build

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trainer.data.dataset import DatasetPart

    Scoring = Callable[[NDArray[np.float32]], NDArray[np.float32]]

NAME = "TF tutorial"
EPOCHS, BATCH, ADAM_EPSILON = 20, 512, 1e-7
NETWORK = NetworkConfig("stacked", (SAMPLES, 32, 16, 8))


def fit(train: DatasetPart, seed: int) -> tuple[Scoring, float]:
    """What scores beats, and its threshold: mean + 1 sd of the errors on the normal beats that it has just learnt.

    The smallest and the largest sample of all training beats, abnormal ones too, become 0 and 1, as they do there.
    """
    low, high = float(train.samples.min()), float(train.samples.max())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(build(NETWORK), nn.Sigmoid())
        _learn(network, torch.from_numpy((train.normal_samples - low) / (high - low)))

    def score(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        beats = torch.from_numpy((samples - low) / (high - low))
        with torch.inference_mode():
            return np.asarray((network(beats) - beats).abs().mean(1).numpy(), np.float32)

    errors = score(train.normal_samples)
    return score, float(errors.mean() + errors.std())


def _learn(network: nn.Module, beats: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, eps=ADAM_EPSILON)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(beats)), BATCH):
            loss = (network(beats[rows]) - beats[rows]).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
