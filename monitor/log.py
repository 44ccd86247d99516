"""Log lines: one a record, as text for people or as JSON for machines."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname:7} {record.name}: {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry).decode()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def set_up(level: str, form: str) -> None:
    """Log to standard error from now on.

    The Kafka client is heard at DEBUG only: it writes several lines a second while a broker is away, and what matters
    of them stands in our own lines. Its own DEBUG lines are never heard: they hold its configuration and every byte
    that it sends, passwords and patients' beats included.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kafka").setLevel(logging.INFO if level == "DEBUG" else logging.CRITICAL)


def silence_client() -> None:
    """For commands, which say what they have to say in one sentence: nothing of the Kafka client in between."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
