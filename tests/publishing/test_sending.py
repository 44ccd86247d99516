"""`send_all` and `StopRequest`: messages go out until they end, or somebody asks to stop."""

from __future__ import annotations

import os
import signal

import pytest

from monitor.publishing.sending import send_all
from monitor.records.record import Message
from monitor.stop_request import StopRequest
from tests.fakes import FakePublisher

ITEMS = [(Message("ecg.beats", b"bed", b"%d" % number), number) for number in range(5)]


class StoppedPublisher(FakePublisher):
    """Gets a signal while it takes the second message."""

    def send(self, message, timestamp_ms=None):
        super().send(message, timestamp_ms)
        if timestamp_ms == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def test_all_messages_are_sent_with_their_times():
    publisher = FakePublisher([])
    assert send_all(publisher, ITEMS) == 5
    assert publisher.unacknowledged() == ITEMS


def test_a_signal_ends_it_after_the_message_that_is_being_sent():
    publisher = StoppedPublisher([])
    assert send_all(publisher, ITEMS) == 2
    assert len(publisher.unacknowledged()) == 2


def test_a_signal_while_the_next_message_is_waited_for_ends_it_at_once():
    def items():
        yield ITEMS[0]
        os.kill(os.getpid(), signal.SIGINT)
        yield ITEMS[1]

    assert send_all(FakePublisher([]), items()) == 1


def test_a_second_signal_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_made
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before
