"""The file of the events that a receiver refused: one JSON object a line, readable for its owner alone."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from monitor.errors import RefusedError
from monitor.forward.event import time_text

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.forward.event import AlertEvent
    from monitor.forward.request import Request

MAX_BYTES = 16 * 1024 * 1024  # of the file; then it becomes FILE.1, and the FILE.1 before it is gone


class DeadLetterFile:
    """Is appended to; each line is on the disk when `add` returns."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        """Raises RefusedError where the file cannot be written."""
        self._path, self._max_bytes = path, max_bytes
        try:
            self._file = self._opened()
        except BlockingIOError as error:
            raise RefusedError(f"MONITOR_FORWARD_DEAD_LETTERS={path}: another forwarder writes it") from error
        except OSError as error:
            raise RefusedError(f"MONITOR_FORWARD_DEAD_LETTERS={path}: cannot be written: {error.strerror}") from error

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(file, 0o600)
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":  # a process ended in the middle of a line
                os.write(file, b"\n")
        except OSError:
            os.close(file)
            raise
        return file

    def add(self, event: AlertEvent, request: Request, why: str, now_ms: float) -> None:
        """Write what was refused, on one line. Raises OSError where that fails; the file is as before."""
        entry = {
            "failed_at": time_text(now_ms),
            "why": why,
            "alarm": event.id,
            "event": event.name,
            "partition": event.partition,
            "offset": event.offset,
            "headers": dict(request.headers),
            "body": orjson.loads(request.body),  # not as it is: it may have lines of its own
        }
        line = orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)
        size = os.fstat(self._file).st_size
        if size and size + len(line) > self._max_bytes:
            self._begin_again()
            size = 0
        try:
            self._append(line)
        except OSError:
            os.ftruncate(self._file, size)
            raise

    def _append(self, line: bytes) -> None:
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file)

    def _begin_again(self) -> None:
        with suppress(FileNotFoundError):  # this was done before, and opening the next one failed
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        full, self._file = self._file, self._opened()
        os.close(full)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        os.close(self._file)
