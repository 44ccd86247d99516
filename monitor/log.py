"""Log lines, as text for people or as JSON for machines.

A fault that repeats does not fill the disk: of each kind of line at most LINES are written in WINDOW_SECONDS, and the
first one after that says how many were left out. No line holds a beat or a secret, and above DEBUG none names a source.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import orjson

from monitor.errors import CLIENT_PACKAGES, DEFECT_EXIT_CODE, raised_in
from monitor.terminal import printable, printable_json

if TYPE_CHECKING:
    from types import TracebackType

LINES, WINDOW_SECONDS = 5, 60.0  # at most so many lines of one kind in so many seconds


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname:7} {record.name}: {record.getMessage()}"
        if left_out := _left_out(record):
            line += f" ({left_out} like it were left out before)"
        lines = [line, *self.formatException(record.exc_info).split("\n")] if record.exc_info else [line]
        return "\n".join(map(printable, lines))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, str | int] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if left_out := _left_out(record):
            entry["left_out"] = left_out
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return printable_json(orjson.dumps(entry).decode())


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _left_out(record: logging.LogRecord) -> int:
    return int(getattr(record, "left_out", 0))


@dataclass(slots=True)
class _Window:
    since: float  # seconds since the epoch
    lines: int = 0  # including those left out


class _RateLimit(logging.Filter):
    """Lets LINES lines of each kind pass in WINDOW_SECONDS. Their kind is the place in the code that writes them."""

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[tuple[str, int], _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO:
            return True
        window = self._windows.setdefault((record.pathname, record.lineno), _Window(record.created))
        if record.created - window.since >= WINDOW_SECONDS:
            record.left_out = max(0, window.lines - LINES)
            window.since, window.lines = record.created, 0
        window.lines += 1
        return window.lines <= LINES


def set_up(level: str, form: str) -> None:
    """Log to standard error from now on, from this `level` up, as `form` `text` or `json`; a crash as well.

    The Kafka client's lines are written only at DEBUG: it writes several a second while a broker is unavailable, and
    our own lines say what matters of that. Its own DEBUG lines are never written: they hold its configuration and every
    byte that it sends, passwords and patients' beats included.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    handler.addFilter(_RateLimit())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kafka").setLevel(logging.INFO if level == "DEBUG" else logging.CRITICAL)
    sys.excepthook = _crash
    threading.excepthook = _crash_in_thread


def crashed(error: BaseException) -> None:
    """Log an error that nothing should have raised, with its traceback."""
    _crash(type(error), error, error.__traceback__)


def end_crashed(error: BaseException) -> NoReturn:
    """Log such an error and end the process at once, from any thread."""
    crashed(error)
    logging.shutdown()
    os._exit(DEFECT_EXIT_CODE)


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("monitor").critical("the monitor crashed: this is a defect", exc_info=(kind, error, trace))


def _crash_in_thread(arguments: threading.ExceptHookArgs) -> None:
    """End the process when code of the monitor fails in a thread that nobody waits for.

    A thread of the Kafka client may end with an error of its own: the next call to that client fails.
    """
    error = arguments.exc_value
    if error is None or isinstance(error, SystemExit):
        return
    if raised_in(error) in CLIENT_PACKAGES:
        logging.getLogger("monitor").debug("a thread of the client has ended", exc_info=error)
        return
    end_crashed(error)


def silence_client() -> None:
    """Write no line of the Kafka client. For commands, which report a failure in one sentence of their own."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
