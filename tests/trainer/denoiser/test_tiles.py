"""Pictures of any size and kind are denoised in tiles, and no file is overwritten."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monitor.errors import RefusedError
from tests.trainer.denoiser.test_artifact import model
from trainer.denoiser import artifact, tiles
from trainer.denoiser.network import REACH, DenoiserConfig, apply, build
from trainer.denoiser.png import Picture
from trainer.denoiser.tiles import TILE, denoised


@pytest.fixture(scope="module", params=[1, 3], ids=["grey model", "colour model"])
def model_file(request, tmp_path_factory):
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
    tiles.denoise_files(model_file, files, tmp_path / "out")
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
    tiles.denoise_files(model_file, [tmp_path / "in.png"], tmp_path / "out")
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
        tiles.denoise_files(model_file, [tmp_path / "a" / "in.png", tmp_path / "b" / "in.png"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RefusedError, match="already exists"):
        tiles.denoise_files(model_file, [tmp_path / "a" / "in.png"], tmp_path / "a")


def test_a_folder_that_cannot_be_looked_into_is_refused(tmp_path):
    artifact.save(tmp_path / "m", model(DenoiserConfig("classic")))
    with pytest.raises(RefusedError, match="cannot be accessed: File name too long"):
        tiles.denoise_files(tmp_path / "m", [tmp_path / "in.png"], tmp_path / ("x" * 300))
