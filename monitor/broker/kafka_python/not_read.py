"""The value of a record that stands for records that were not read, because they would take too much memory."""

from __future__ import annotations

from typing import Self

from monitor.records.record import SetAside


class NotRead(bytes):
    """An empty value that says what was not read. It is of bytes, because the client's own code expects bytes."""

    what: SetAside

    @classmethod
    def of(cls, what: SetAside) -> Self:
        made = cls()
        made.what = what
        return made
