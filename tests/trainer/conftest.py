"""What the trainer's tests share: files of beats, and the command run as a person runs it."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from trainer import cli
from trainer.commands import ecg
from trainer.data import datasets
from trainer.fitting.preparation import prepared
from trainer.fitting.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.model.manifest import Model
    from trainer.data.datasets import Dataset

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def ecg5000(ecg_data: Path) -> Dataset:
    return datasets.read(ecg_data)


@pytest.fixture(scope="session")
def tensorflow_data(ecg_data: Path, ecg5000: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ECG5000 as TensorFlow publishes it, `ecg.csv`.

    `ecg-trainer fetch` gets the official files only. Without `ecg.csv`, this writes one: the training part, then the
    test part in random order, each with the label 1 for normal. TensorFlow's order differs, and with it the beats that
    the tutorial judges by; over such orders its figures vary by about 0.01.
    """
    if (ecg_data / datasets.TENSORFLOW).is_file():
        return ecg_data
    assert ecg5000.test is not None
    train, test = (np.column_stack([part.samples, ~part.abnormal]) for part in (ecg5000.train, ecg5000.test))
    folder = tmp_path_factory.mktemp("tensorflow")
    rows = np.vstack([train, np.random.default_rng(0).permutation(test)])
    np.savetxt(folder / datasets.TENSORFLOW, rows, delimiter=",", fmt="%.9g")
    return folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`ecg-trainer` within this process, which has imported torch: a new process takes seconds to do so."""
    monkeypatch.chdir(REPOSITORY)

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        line = ["ecg-trainer", *map(str, words)]
        monkeypatch.setattr(sys, "argv", line)
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
        return subprocess.CompletedProcess(line, ended.value.code or 0, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`ecg-trainer` in a process of its own."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "trainer", *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=240)

    return run


@pytest.fixture
def own_beats(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV file: bumps with a little noise, the abnormal ones upside down. Each seed gives other beats."""

    def write(normals: int, abnormals: int = 0, *, labels: bool = True, seed: int = 5) -> Path:
        random = np.random.default_rng(seed)
        bump = 300 * np.exp(-0.5 * ((np.arange(140) - 60) / 12) ** 2)
        sign = np.repeat([1, -1], [normals, abnormals])
        samples = sign[:, None] * bump + random.normal(0, 5, (normals + abnormals, 140))
        rows = np.column_stack([samples, sign > 0]) if labels else samples
        np.savetxt(tmp_path / "own.csv", rows, delimiter=",", fmt="%.6g")
        return tmp_path / "own.csv"

    return write


@pytest.fixture(scope="session")
def idx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


@pytest.fixture(scope="session")
def quick_model(ecg_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    """A model of ECG5000 that was trained for two epochs, and its file."""
    path = tmp_path_factory.mktemp("quick") / "m"
    return path, ecg.train(prepared(ecg_data), path, Recipe(epochs=2, noise_sd=0.2), "cpu")
