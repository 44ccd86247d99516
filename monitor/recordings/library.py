"""The border to wfdb and edfio: imports them late, and turns what they raise about a file into a RecordingError."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from monitor.errors import RecordingError

T = TypeVar("T")

MAX_REASON = 200  # characters of a message that may repeat what is in the file
# What they raise about damaged files, found by damaging files at random. RuntimeError is that of soundfile.
FAULTS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, RuntimeError)


def imported(path: Path, name: str) -> ModuleType:
    """A library that reads the file. `import wfdb` takes 2 s, so it is done when a record is opened."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas about wfdb, which users of this project cannot act on
            return import_module(name)
    except ModuleNotFoundError as error:
        raise RecordingError(
            f"{path}: cannot be read without the package {error.name}: pip install 'ecg-monitor[recordings]'"
        ) from error


def asked(path: Path, call: Callable[[], T], part: str = "it") -> T:
    """What a call of such a library returns. Raises RecordingError, which names the `part` of the file that is read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values out of range, which become NaN or an error here
            return call()
    except OSError as error:
        raise unreadable(path, error) from error
    except FAULTS as error:
        reason = f"{type(error).__name__}: {str(error)[:MAX_REASON]}"
        raise RecordingError(f"{path}: {part} is damaged ({reason})", "get the whole file again") from error


def unreadable(path: Path, error: OSError) -> RecordingError:
    """The error to raise about a file that cannot be opened or read."""
    return RecordingError(f"{path}: cannot be read: {error.strerror or error}")
