"""Reads any kind of data: ECG5000, a person's own file of beats, or recordings."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from monitor.beats import text_table
from monitor.beats.beat_file import PLAIN, ReadingRules
from monitor.errors import RefusedError
from monitor.publishing.file_kind import RECORDING_SUFFIXES, is_named_as_recording
from trainer.data import datasets
from trainer.data.signals import ALL, Signals

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.data.datasets import Dataset

IN_FOLDERS = (*RECORDING_SUFFIXES, ".csv")


def read(path: Path, signals: Signals = ALL, rules: ReadingRules = PLAIN) -> Dataset:
    """The data set of a folder or a file; `rules` say how a file of beats is understood.

    Raises RefusedError, which names the file and what was expected.
    """
    if not is_recordings(path, signals):
        return datasets.read(path, rules)
    if find_spec("scipy") is None:
        raise RefusedError("scipy is not installed: pip install 'ecg-monitor[recordings]'")
    from trainer.data import recordings  # noqa: PLC0415 - beats need neither scipy nor wfdb

    return recordings.read(path, signals)


def is_recordings(path: Path, signals: Signals = ALL) -> bool:
    """Whether a path is a recording, or a folder with recordings and without ECG5000.

    A text file is a file of beats, unless a lead or a rate is named.
    """
    if path.is_dir():
        return not datasets.holds_ecg5000(path) and any(each.suffix.lower() in IN_FOLDERS for each in path.iterdir())
    if path.suffix.lower() in text_table.SUFFIXES:
        return signals != ALL
    return is_named_as_recording(path)
