"""Places to write to, tried before hours of work are spent on what goes there."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path


def probe(*files: Path | None) -> None:
    """Raises RefusedError where a file, or the folders above it, could not be made. Nothing is left behind."""
    for file in files:
        if file is not None:
            _probe(file)


def _probe(file: Path) -> None:
    try:
        if file.is_dir():
            raise RefusedError(f"{file}: cannot be written: it is a folder")
        nearest = next(folder for folder in file.parents if folder.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise RefusedError(f"{file}: cannot be written: {error.strerror}") from error
