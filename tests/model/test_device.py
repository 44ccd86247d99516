"""A device is found or refused in a sentence, and torch is asked only about a GPU."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from monitor.errors import RefusedError
from monitor.model import artifact, device
from monitor.model.network import NetworkConfig
from monitor.model.tensors.network import build, stored
from tests import models
from tests.conftest import REPOSITORY

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from monitor import cli; cli.main()"


def test_auto_is_an_existing_device():
    assert device.resolve("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["tpu9000", "", "cuda:99", "cuda:-1", "cuda:01", "meta", "mps", "xpu", "cpu:7"])
def test_a_missing_device_is_refused_in_a_sentence(name):
    with pytest.raises(RefusedError, match="use auto"):
        device.resolve(name)


def score_without_torch(folder, model, **settings):
    """`ecg-monitor score` where torch cannot be imported."""
    artifact.save(folder / "m.safetensors", model)
    (folder / "beats.csv").write_text("\n".join(",".join(map(str, beat)) for beat in models.beats(4).tolist()))
    environment = {"PYTHONPATH": str(REPOSITORY), "MONITOR_MODEL": "m.safetensors"} | settings
    command = [sys.executable, "-c", WITHOUT_TORCH, "score", "beats.csv", "--csv"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def convolutional():
    config = NetworkConfig("conv", (70, 4, 2))
    return models.model(network=stored(config, build(config)))


def test_beats_are_scored_without_torch(tmp_path):
    done = score_without_torch(tmp_path, models.model())
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 5), done.stderr


def test_a_gpu_without_torch_is_refused_with_the_extra_that_brings_it(tmp_path):
    done = score_without_torch(tmp_path, models.model(), MONITOR_DEVICE="cuda")
    assert (done.returncode, done.stdout) == (2, "")
    assert "device cuda needs torch: pip install 'ecg-monitor[gpu]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_convolutional_network_without_torch_is_refused_with_the_extra_that_brings_it(tmp_path):
    done = score_without_torch(tmp_path, convolutional())
    assert done.returncode == 2
    assert "a convolutional network needs torch: pip install 'ecg-monitor[gpu]'" in done.stderr
    assert "Traceback" not in done.stderr
