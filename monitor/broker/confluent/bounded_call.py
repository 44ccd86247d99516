"""A time limit for calls of the library that do not keep the one they are given."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def call_within(seconds: float, call: Callable[[], object]) -> None:
    """Return when the call returns, and raise what it raises.

    Raises TimeoutError after `seconds`. The call goes on then, on a thread that nobody waits for: what it uses must not
    be used any more, and lives until it returns.
    """
    ended = Future[None]()
    threading.Thread(target=_run, args=(call, ended), name="bounded call", daemon=True).start()
    ended.result(seconds)


def _run(call: Callable[[], object], ended: Future[None]) -> None:
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - the caller raises it
        ended.set_exception(error)
    else:
        ended.set_result(None)
