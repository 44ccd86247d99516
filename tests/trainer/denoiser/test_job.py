"""The two commands on pictures, as a person runs them."""

from __future__ import annotations

import itertools
import json
import signal
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monitor.errors import RefusedError
from trainer.commands import denoise, denoiser
from trainer.commands.denoise import TILE, denoised
from trainer.commands.denoiser import DenoiserJob
from trainer.denoiser import artifact
from trainer.denoiser import fit as imagefit
from trainer.denoiser.fit import ImageRecipe
from trainer.denoiser.network import REACH, DenoiserConfig, apply, build
from trainer.denoiser.noise import Corruption
from trainer.denoiser.png import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def idx_folder(tmp_path_factory):
    """Bright rectangles on black as IDX files."""
    folder = tmp_path_factory.mktemp("idx")
    random = np.random.default_rng(0)
    for name, count in (("train-images-idx3-ubyte", 300), ("t10k-images-idx3-ubyte", 30)):
        made = np.zeros((count, 28, 28), np.uint8)
        for picture in made:
            top, left = random.integers(0, 14, 2)
            picture[top : top + 14, left : left + 9] = random.integers(100, 256)
        (folder / name).write_bytes(b"\0\0\x08\x03" + struct.pack(">III", *made.shape) + made.tobytes())
    return folder


@pytest.fixture
def trained(idx_folder, tmp_path, command):
    done = command(
        "denoiser", "--data", idx_folder, "--network", "best", "--noise", "dropout:0.3", "--epochs", 2,
        "--out", tmp_path / "model.safetensors", "--report", tmp_path / "report",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


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


def test_the_same_seed_writes_the_same_file_and_another_seed_another(idx_folder, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        order = DenoiserJob(idx_folder, "", tmp_path / name, None, "cpu", quick=True)
        denoiser.main(order, ImageRecipe(DenoiserConfig("best", 3), epochs=1, seed=seed))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_ctrl_c_says_so_and_keeps_a_model_that_says_so_too(idx_folder, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        *given, tick, stopped = arguments
        return fit(*given, lambda loss: (tick(loss), signal.raise_signal(signal.SIGINT)), stopped)

    fit = imagefit.fit
    monkeypatch.setattr(imagefit, "fit", interrupted)
    denoiser.main(
        DenoiserJob(idx_folder, "", tmp_path / "model", tmp_path / "report", "cpu", quick=True), ImageRecipe()
    )
    assert "interrupted in epoch 1 of 10: the best weights so far are kept" in capsys.readouterr().out
    training = artifact.load(tmp_path / "model").manifest.training
    assert (training["interrupted"], training["epochs"], training["epochs_begun"]) == ("yes", 10, 1)
    assert (tmp_path / "report" / "figures.json").exists()


def test_with_a_report_or_without_the_same_seed_writes_the_same_file(idx_folder, tmp_path):
    recipe = ImageRecipe(DenoiserConfig("best"), epochs=1)
    for name, report in (("a", None), ("b", tmp_path / "report")):
        denoiser.main(DenoiserJob(idx_folder, "", tmp_path / name, report, "cpu", quick=True), recipe)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert [row["method"] for row in figures["quality"]] == ["noisy", "median 3 x 3", "classic", "best"]


@dataclass(frozen=True, slots=True)
class Interrupted(Corruption):
    """Noise during whose so-many-th drawing somebody presses Ctrl-C; a quick epoch of `idx_folder` has nine."""

    draws: Iterator[int] = field(default_factory=itertools.count, compare=False, repr=False)
    at: int = 0

    def spoil(self, clean, draw):
        if next(self.draws) == self.at:
            signal.raise_signal(signal.SIGINT)
        return Corruption.spoil(self, clean, draw)


@pytest.mark.parametrize(("at", "curves"), [(4, ["best"]), (15, ["best"]), (22, ["best", "classic"])])
def test_ctrl_c_at_any_time_leaves_a_model_and_no_unfinished_classic(idx_folder, tmp_path, at, curves):
    recipe = ImageRecipe(DenoiserConfig("best"), Interrupted(at=at), epochs=1)
    denoiser.main(DenoiserJob(idx_folder, "", tmp_path / "model", tmp_path / "report", "cpu", quick=True), recipe)
    assert artifact.load(tmp_path / "model").manifest.training["epochs_begun"] == 1
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert list(figures["training"]) == curves
    assert [row["method"] for row in figures["quality"]][2:] == sorted(curves, reverse=True)


def test_a_folder_that_cannot_be_looked_into_is_refused(tmp_path):
    from tests.trainer.test_denoiserfile import model  # noqa: PLC0415

    artifact.save(tmp_path / "m", model(DenoiserConfig("classic")))
    with pytest.raises(RefusedError, match="cannot be looked for: File name too long"):
        denoise.main(tmp_path / "m", [tmp_path / "in.png"], tmp_path / ("x" * 300))


def test_a_place_that_cannot_be_written_is_refused_before_the_training(idx_folder, tmp_path):
    for out, report in ((Path("/proc/none/m"), None), (tmp_path / "m", Path("/proc/none"))):
        with pytest.raises(RefusedError, match="cannot be written"):
            denoiser.main(DenoiserJob(idx_folder, "", out, report, "cpu", quick=True), ImageRecipe(epochs=10_000))


@pytest.fixture(scope="module", params=[1, 3], ids=["grey model", "colour model"])
def model_file(request, tmp_path_factory):
    from tests.trainer.test_denoiserfile import model  # noqa: PLC0415

    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    artifact.save(path, model(DenoiserConfig("best", request.param)))
    return path


KINDS = {
    "grey": np.full((9, 6), 90, np.uint8),
    "grey-alpha": np.full((9, 6, 2), 90, np.uint8),
    "colour": np.full((9, 6, 3), 90, np.uint8),
    "colour-alpha": np.full((9, 6, 4), 90, np.uint8),
    "deep": np.full((9, 6), 9000, np.uint16),
    "pixel": np.full((1, 1), 90, np.uint8),
}


def test_pictures_of_every_kind_come_back_in_their_kind_with_their_alpha(model_file, tmp_path):
    files = [tmp_path / f"{name}.png" for name in KINDS]
    for file, array in zip(files, KINDS.values(), strict=True):
        Image.fromarray(array).save(file)
    denoise.main(model_file, files, tmp_path / "out")
    for name, array in KINDS.items():
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            found = np.asarray(image)
        assert (found.shape, found.dtype) == (array.shape, array.dtype)
        if "alpha" in name:
            np.testing.assert_array_equal(found[..., -1], array[..., -1])


def test_the_transparent_grey_of_a_deep_picture_stays_transparent(model_file, tmp_path):
    deep = KINDS["deep"].copy()
    deep[0, 0] = 77
    Image.fromarray(deep).save(tmp_path / "in.png", transparency=77)
    denoise.main(model_file, [tmp_path / "in.png"], tmp_path / "out")
    with Image.open(tmp_path / "out" / "in.png") as image:
        alpha = np.asarray(image)[..., -1]
    assert (image.mode, alpha[0, 0], alpha.sum()) == ("LA", 0, 255 * (deep.size - 1))


@pytest.mark.parametrize("network", ["classic", "best"])
def test_tiles_leave_no_seams(network):
    torch.manual_seed(1)
    net = build(DenoiserConfig(network)).requires_grad_(requires_grad=False)
    random = np.random.default_rng(2)
    values = random.integers(0, 256, (TILE + REACH + 9, TILE + 3, 1), np.uint8)
    whole = apply(net, torch.from_numpy(values).permute(2, 0, 1)[None].float() / 255)[0, 0].numpy() * 255
    tiled = denoised(net, 1, Picture(values)).values[..., 0]
    assert np.abs(tiled - whole).max() < 0.51


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.sampled_from([1, 3]))
def test_any_size_keeps_its_size(height, width, of_picture, of_network):
    picture = Picture(np.full((height, width, of_picture), 77, np.uint8))
    found = denoised(build(DenoiserConfig("classic", of_network)), of_network, picture)
    assert found.values.shape == picture.values.shape


def test_a_grey_model_takes_colours_channel_by_channel():
    net = build(DenoiserConfig("best"))
    values = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)
    found = denoised(net, 1, Picture(values)).values
    for channel in range(3):
        alone = denoised(net, 1, Picture(values[..., channel : channel + 1])).values
        np.testing.assert_array_equal(found[..., channel], alone[..., 0])


def test_names_that_clash_are_refused_before_anything_is_written(model_file, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(KINDS["grey"]).save(tmp_path / folder / "in.png")
    with pytest.raises(RefusedError, match=r"2 pictures are called in\.png"):
        denoise.main(model_file, [tmp_path / "a" / "in.png", tmp_path / "b" / "in.png"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RefusedError, match="is there already"):
        denoise.main(model_file, [tmp_path / "a" / "in.png"], tmp_path / "a")


def test_a_fault_is_one_sentence_and_exit_code_2(tmp_path, command):
    (tmp_path / "in.png").write_bytes(b"no picture")
    done = command("denoise", "--model", tmp_path / "in.png", tmp_path / "in.png", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "safetensors" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]
