"""What the trainer's tests share: files of beats, and the command run as a person runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from trainer.data import dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.data.dataset import Dataset

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def ecg5000(ecg_data: Path) -> Dataset:
    return dataset.read(ecg_data)


@pytest.fixture(scope="session")
def tensorflow_data(ecg_data: Path, ecg5000: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ECG5000 as TensorFlow publishes it, `ecg.csv`.

    `ecg-trainer fetch` gets the official files only. Without `ecg.csv`, this writes one: the training part, then the
    test part in random order, each with the label 1 for normal. TensorFlow's order differs, and with it the beats that
    the tutorial judges by; over such orders its figures vary by about 0.01.
    """
    if (ecg_data / dataset.TENSORFLOW).is_file():
        return ecg_data
    assert ecg5000.test is not None
    train, test = (np.column_stack([part.samples, ~part.abnormal]) for part in (ecg5000.train, ecg5000.test))
    folder = tmp_path_factory.mktemp("tensorflow")
    rows = np.vstack([train, np.random.default_rng(0).permutation(test)])
    np.savetxt(folder / dataset.TENSORFLOW, rows, delimiter=",", fmt="%.9g")
    return folder


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`ecg-trainer` in a process of its own."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "trainer", *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=240)

    return run


@pytest.fixture
def own_beats(tmp_path: Path) -> Callable[..., Path]:
    """Writes somebody's own CSV: bumps with a little noise, the abnormal ones upside down; each seed has its own."""

    def write(normals: int, abnormals: int = 0, *, labels: bool = True, seed: int = 5) -> Path:
        random = np.random.default_rng(seed)
        bump = 300 * np.exp(-0.5 * ((np.arange(140) - 60) / 12) ** 2)
        sign = np.repeat([1, -1], [normals, abnormals])
        samples = sign[:, None] * bump + random.normal(0, 5, (normals + abnormals, 140))
        rows = np.column_stack([samples, sign > 0]) if labels else samples
        np.savetxt(tmp_path / "own.csv", rows, delimiter=",", fmt="%.6g")
        return tmp_path / "own.csv"

    return write
