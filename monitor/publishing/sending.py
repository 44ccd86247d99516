"""Sends messages until there are no more or somebody asks to stop."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from monitor.records.record import Message
from monitor.stop_request import StopRequest


class MessageSender(Protocol):
    """What takes the messages: a `Publisher`."""

    def send(self, message: Message, timestamp_ms: int | None = None) -> None: ...


def send_all(publisher: MessageSender, items: Iterable[tuple[Message, int | None]]) -> int:
    """Send the messages until there are no more, Ctrl-C or SIGTERM; returns how many the client has accepted.

    The signal takes effect after the message that is being handed to the client: the client's `flush` would wait for a
    message that it has accepted in part only. A second signal takes effect at once.
    """
    sent = 0
    with StopRequest() as stop, suppress(KeyboardInterrupt):
        stop.may_interrupt = True
        for message, timestamp_ms in items:
            stop.may_interrupt = False
            publisher.send(message, timestamp_ms)
            sent += 1
            if stop.is_made:
                break
            stop.may_interrupt = True
    return sent
