"""Ctrl-C during a training: the first one asks the training to end early, the second one ends the command at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def first_ctrl_c() -> Iterator[threading.Event]:
    """Gives an event that the first Ctrl-C sets. A second Ctrl-C raises KeyboardInterrupt.

    Python delivers signals to the main thread only. In any other thread the event is never set.
    """
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
