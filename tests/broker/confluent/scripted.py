"""A connected client, without a broker."""

from __future__ import annotations


class ScriptedAdmin:
    """A connected client that keeps whether it was closed."""

    is_closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_closed = True
