"""The training of a denoiser, from pictures to the model file and the report."""

from __future__ import annotations

import itertools
import json
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitor.errors import RefusedError
from trainer.denoiser import artifact, job, training
from trainer.denoiser.job import DenoiserJob
from trainer.denoiser.network import DenoiserConfig
from trainer.denoiser.noise import Corruption
from trainer.denoiser.training import ImageRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_the_same_seed_writes_the_same_file_and_another_seed_another(idx_folder, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        order = DenoiserJob(idx_folder, "", tmp_path / name, None, "cpu", quick=True)
        job.run(order, ImageRecipe(DenoiserConfig("best", 3), epochs=1, seed=seed))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_ctrl_c_is_reported_and_recorded_in_the_kept_model(idx_folder, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        *given, tick, stopped = arguments
        return fit(*given, lambda loss: (tick(loss), signal.raise_signal(signal.SIGINT)), stopped)

    fit = training.fit
    monkeypatch.setattr(training, "fit", interrupted)
    job.run(DenoiserJob(idx_folder, "", tmp_path / "model", tmp_path / "report", "cpu", quick=True), ImageRecipe())
    assert "interrupted in epoch 1 of 10: the best weights so far are kept" in capsys.readouterr().out
    noted = artifact.load(tmp_path / "model").manifest.training
    assert (noted["interrupted"], noted["epochs"], noted["epochs_begun"]) == ("yes", 10, 1)
    assert (tmp_path / "report" / "figures.json").exists()


@pytest.mark.slow
def test_with_a_report_or_without_the_same_seed_writes_the_same_file(idx_folder, tmp_path):
    recipe = ImageRecipe(DenoiserConfig("best"), epochs=1)
    for name, report in (("a", None), ("b", tmp_path / "report")):
        job.run(DenoiserJob(idx_folder, "", tmp_path / name, report, "cpu", quick=True), recipe)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert [row["method"] for row in figures["quality"]] == ["noisy", "median 3 x 3", "classic", "best"]


@dataclass(frozen=True, slots=True)
class Interrupted(Corruption):
    """Noise during whose so-many-th drawing a person presses Ctrl-C; a quick epoch of `idx_folder` has nine."""

    draws: Iterator[int] = field(default_factory=itertools.count, compare=False, repr=False)
    at: int = 0

    def spoil(self, clean, draw):
        if next(self.draws) == self.at:
            signal.raise_signal(signal.SIGINT)
        return Corruption.spoil(self, clean, draw)


@pytest.mark.parametrize(
    ("at", "curves"),
    [(4, ["best"]), pytest.param(15, ["best"], marks=pytest.mark.slow), (22, ["best", "classic"])],
)
def test_ctrl_c_at_any_time_leaves_a_model_and_no_unfinished_classic(idx_folder, tmp_path, at, curves):
    recipe = ImageRecipe(DenoiserConfig("best"), Interrupted(at=at), epochs=1)
    job.run(DenoiserJob(idx_folder, "", tmp_path / "model", tmp_path / "report", "cpu", quick=True), recipe)
    assert artifact.load(tmp_path / "model").manifest.training["epochs_begun"] == 1
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert list(figures["training"]) == curves
    assert [row["method"] for row in figures["quality"]][2:] == sorted(curves, reverse=True)


def test_a_place_that_cannot_be_written_is_refused_before_the_training(idx_folder, tmp_path):
    for out, report in ((Path("/proc/none/m"), None), (tmp_path / "m", Path("/proc/none"))):
        with pytest.raises(RefusedError, match="cannot be written"):
            job.run(DenoiserJob(idx_folder, "", out, report, "cpu", quick=True), ImageRecipe(epochs=10_000))
