"""`ecg-trainer denoiser` as a person runs it."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from trainer.denoiser import artifact


@pytest.fixture
def trained(idx_folder, tmp_path, command):
    done = command(
        "denoiser", "--data", idx_folder, "--network", "best", "--noise", "dropout:0.3", "--epochs", 2,
        "--out", tmp_path / "model.safetensors", "--report", tmp_path / "report",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_training_writes_a_model_and_a_report_with_everything_side_by_side(trained, tmp_path):
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    quality = {row["method"]: row for row in figures["quality"]}
    assert list(quality) == ["noisy", "median 3 x 3", "classic", "best"]
    assert quality["best"]["psnr"] > quality["noisy"]["psnr"]
    assert [len(figures["training"][name]["curve"]) for name in ("best", "classic")] == [2, 10]
    for name in ("pictures.png", "training.png"):
        with Image.open(tmp_path / "report" / name) as image:
            assert image.width > 600
    assert "median 3 x 3" in trained.stdout
    manifest = artifact.load(tmp_path / "model.safetensors").manifest
    assert (str(manifest.noise), manifest.training["interrupted"]) == ("dropout:0.3", "no")
