"""The first Ctrl-C sets an event, the second one ends the command."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from trainer import interrupt


def test_the_first_interrupt_is_a_request_and_the_second_ends_the_process():
    before = signal.getsignal(signal.SIGINT)
    with interrupt.first_ctrl_c() as stopped:
        assert not stopped.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_beside_the_main_thread_nothing_is_touched():
    found = []

    def run():
        with interrupt.first_ctrl_c() as stopped:
            found.append((stopped.is_set(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(False, signal.getsignal(signal.SIGINT))]
