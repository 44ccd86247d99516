"""Check that output files can be written, before a long training starts."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path


def probe(*files: Path | None) -> None:
    """Raises RefusedError if one of the files, or a folder above it, cannot be created. Leaves nothing behind."""
    for file in files:
        if file is not None:
            _probe(file)


def _probe(file: Path) -> None:
    try:
        if file.is_dir():
            raise RefusedError(f"{file}: cannot be written: it is a folder")
        if file.exists() and not file.is_file():
            raise RefusedError(f"{file}: cannot be written: it is not a regular file")
        nearest = next(folder for folder in file.parents if folder.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise RefusedError(f"{file}: cannot be written: {error.strerror}") from error
