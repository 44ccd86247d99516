"""`python -m bench.scoring`: CPU time to score a beat, for each network in turn. No broker, no training."""

from __future__ import annotations

import statistics
import time

import click
import numpy as np

from monitor.beats.beat import SAMPLES
from monitor.model.manifest import Detector, ScoreConfig
from monitor.model.network import NetworkConfig
from monitor.model.scorer import Scorer
from monitor.model.tensors.network import build, stored
from trainer.fitting import recipe

PLAIN = "140-32-16-8, mean square"
CONTENDERS = {
    PLAIN: (NetworkConfig("stacked", (SAMPLES, 32, 16, 8)), ScoreConfig(1, SAMPLES, projected=False)),
    "70-32-16-8, default score": (NetworkConfig("stacked", (70, 32, 16, 8)), recipe.SCORE),
    "the default": (recipe.DEFAULT, recipe.SCORE),
    "two of its networks": (NetworkConfig("stacked", recipe.DEFAULT.widths, 2), recipe.SCORE),
    "four of its networks": (NetworkConfig("stacked", recipe.DEFAULT.widths, 4), recipe.SCORE),
}


@click.command()
@click.option("--rounds", default=41, show_default=True)
@click.argument("batches", nargs=-1, type=int)
def main(rounds: int, batches: tuple[int, ...]) -> None:
    """Median CPU microseconds a beat, and the median ratio to the plain network, for each size of BATCHES."""
    scorers = {name: Scorer(_detector(*shape), "cpu", 4096) for name, shape in CONTENDERS.items()}
    for scorer in scorers.values():
        scorer.use_one_thread()
    for batch in batches or (64, 512, 2048, 4096):
        samples = np.random.default_rng(1).standard_normal((batch, SAMPLES)).astype(np.float32)
        times: dict[str, list[float]] = {name: [] for name in scorers}
        for _ in range(rounds):
            for name, scorer in scorers.items():
                times[name].append(_seconds(scorer, samples) / batch)
        for name, found in times.items():
            ratio = statistics.median(mine / plain for mine, plain in zip(found, times[PLAIN], strict=True))
            click.echo(f"batch {batch:>5}  {name:26} {1e6 * statistics.median(found):6.2f} us  {ratio:5.2f} times")


def _detector(config: NetworkConfig, score: ScoreConfig) -> Detector:
    """A model with random weights: the time does not depend on them."""
    projection = np.eye(score.inputs, dtype=np.float32) if score.projected else None
    prototypes = np.zeros((score.prototypes, score.inputs), np.float32) if score.prototypes else None
    return Detector(stored(config, build(config)), score, projection, prototypes)


def _seconds(scorer: Scorer, samples: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
    """CPU seconds of one batch, after a warm-up batch."""
    scorer.score(samples)
    began = time.process_time()
    scorer.score(samples)
    return time.process_time() - began


if __name__ == "__main__":
    main()
