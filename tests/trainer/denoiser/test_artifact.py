"""A denoiser's file proves itself when it is loaded, and anything else is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import ArtifactError, RefusedError
from trainer.denoiser import artifact
from trainer.denoiser.artifact import DenoiserManifest, DenoiserModel
from trainer.denoiser.network import DenoiserConfig, apply, build
from trainer.denoiser.noise import Corruption
from trainer.denoiser.score import Quality


def model(config=DenoiserConfig("classic")):  # noqa: B008  # frozen
    torch.manual_seed(0)
    manifest = DenoiserManifest(
        "image-denoiser", 1, artifact.UNSEALED, config, Corruption(), {"name": "none"}, {"seed": 0},
        (Quality("noisy", 0.1, 10.0, 0.5),), {"torch": "x"},
    )  # fmt: skip
    return DenoiserModel(build(config).requires_grad_(requires_grad=False), manifest)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    artifact.save(path, model())
    return path


CONFIGS = [DenoiserConfig("classic", 3), DenoiserConfig("best", 1), DenoiserConfig("best", 3), DenoiserConfig(design=1)]


@pytest.mark.parametrize("config", CONFIGS)
def test_what_was_saved_comes_back(tmp_path, config):
    made = model(config)
    artifact.save(tmp_path / "new" / "model.safetensors", made)
    found = artifact.load(tmp_path / "new" / "model.safetensors")
    assert (found.manifest.network, found.manifest.noise) == (config, Corruption())
    noisy = torch.rand(1, config.channels, 9, 9)
    torch.testing.assert_close(apply(found.network, noisy), apply(made.network, noisy))


def test_the_same_model_has_the_same_bytes(file, tmp_path):
    artifact.save(tmp_path / "again", model())
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match="cannot be written"):
        artifact.save(tmp_path / "file" / "model", model())


def rewritten(file, change, tensors=None):
    """The file's bytes after a change to its manifest or its tensors, unsealed."""
    found = safetensors.numpy.load(file.read_bytes())
    length = int.from_bytes(file.read_bytes()[:8], "little")
    manifest = json.loads(json.loads(file.read_bytes()[8 : 8 + length])["__metadata__"]["manifest"])
    change(manifest)
    return safetensors.numpy.save(found | (tensors or {}), {"manifest": json.dumps(manifest, separators=(",", ":"))})


def test_a_file_of_before_there_was_a_second_design_is_of_the_first(tmp_path):
    artifact.save(tmp_path / "model", model(DenoiserConfig(design=1)))
    old = rewritten(tmp_path / "model", lambda m: m.update(digest=artifact.UNSEALED) or m["network"].pop("design"))
    old = old.replace(artifact.UNSEALED.encode(), hashlib.sha256(old).hexdigest().encode(), 1)
    (tmp_path / "old").write_bytes(old)
    assert artifact.load(tmp_path / "old").manifest.network == DenoiserConfig("best", 1, design=1)


@pytest.mark.parametrize(
    ("change", "tensors", "sentence"),
    [
        (lambda m: m.update(kind="other-thing"), None, "this is another model, where a denoiser is expected"),
        (lambda m: m.update(schema=2), None, "manifest: schema"),
        (lambda m: m.update(more=1), None, "manifest: more"),
        (lambda m: m["network"].update(network="unet"), None, "network 'unet' is unknown"),
        (lambda m: m["network"].update(design=3), None, "design 3 of the network is unknown"),
        (lambda m: m.update(network=[]), None, "its header has no manifest"),
        (lambda m: m["network"].update(channels=3), None, "its tensors are not those of network 'classic' with 3"),
        (lambda _: None, {"extra": np.zeros(1, np.float32)}, "its tensors are not those"),
        (lambda _: None, {"0.bias": np.zeros(16, np.float64)}, "tensor 0.bias is F64, where F32 is expected"),
        (lambda _: None, {"0.bias": np.full(16, np.nan, np.float32)}, "a weight is not a finite number"),
        (lambda _: None, {"0.bias": np.zeros(16, np.float32)}, "the digest differs"),
    ],
    ids=["kind", "schema", "field", "network", "design", "no network", "channels", "extra", "dtype", "nan", "weights"],
)
def test_what_does_not_fit_together_is_refused(file, tmp_path, change, tensors, sentence):
    (tmp_path / "bad").write_bytes(rewritten(file, change, tensors))
    with pytest.raises(ArtifactError, match=sentence) as caught:
        artifact.load(tmp_path / "bad")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a whole safetensors file"),
        (pickle.dumps(print), "this is a pickle, where a safetensors file is expected"),
        (safetensors.numpy.save({"a": np.zeros(1, np.float32)}), "its header has no manifest"),
    ],
    ids=["empty", "pickle", "another safetensors"],
)
def test_a_file_that_is_not_a_denoiser_is_refused(tmp_path, content, sentence):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ArtifactError, match=sentence):
        artifact.load(tmp_path / "bad")


def test_folders_missing_files_and_huge_ones_are_refused(tmp_path):
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(artifact.MAX_FILE_BYTES + 1)
    for name, sentence in ((".", "this is not a file"), ("none", "No such file"), ("huge", "at most 16,777,216")):
        with pytest.raises(ArtifactError, match=sentence):
            artifact.load(tmp_path / name)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_with_a_changed_byte_is_refused(file, tmp_path_factory, data):
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    bad = tmp_path_factory.mktemp("changed") / "bad"
    bad.write_bytes(content)
    with pytest.raises(ArtifactError):
        artifact.load(bad)


def test_nothing_that_the_monitor_needs_imports_pictures():
    code = "import sys, monitor.cli; sys.exit(bool({'trainer', 'PIL', 'skimage'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
