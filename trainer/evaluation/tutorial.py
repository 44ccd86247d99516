"""The model of TensorFlow's tutorial "Intro to Autoencoders": its network, training, score and threshold rule.

The tutorial: https://www.tensorflow.org/tutorials/generative/autoencoder
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from monitor.beats.beat import SAMPLES
from monitor.model.network import NetworkConfig
from monitor.model.tensors.network import build

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.datasets import DatasetPart
    from trainer.evaluation.contenders import Scoring

NAME = "TF tutorial"
EPOCHS, BATCH, ADAM_EPSILON = 20, 512, 1e-7
NETWORK = NetworkConfig("stacked", (SAMPLES, 32, 16, 8))


def fit(train: DatasetPart, seed: int) -> tuple[Scoring, float]:
    """A function that scores beats (n, 140), and the threshold: mean + 1 sd of the scores of the normal training beats.

    As in the tutorial, samples are scaled so that the smallest and the largest one of all training beats, including
    the abnormal ones, become 0 and 1.
    """
    low, high = float(train.samples.min()), float(train.samples.max())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(build(NETWORK), nn.Sigmoid())
        _train(network, torch.from_numpy((train.normal_samples - low) / (high - low)))

    def score(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        beats = torch.from_numpy((samples - low) / (high - low))
        with torch.inference_mode():
            return np.asarray((network(beats) - beats).abs().mean(1).numpy(), np.float32)

    errors = score(train.normal_samples)
    return score, float(errors.mean() + errors.std())


def _train(network: nn.Module, beats: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, eps=ADAM_EPSILON)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(beats)), BATCH):
            loss = (network(beats[rows]) - beats[rows]).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
