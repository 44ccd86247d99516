"""A call of the library has a time limit, whether it keeps its own or not."""

from __future__ import annotations

import threading

import pytest

from monitor.broker.confluent.bounded_call import call_within


def test_it_returns_when_the_call_returns():
    done = []
    call_within(10, lambda: done.append(1))
    assert done == [1]


def test_what_the_call_raises_is_raised():
    def fails():
        raise TypeError("planted")

    with pytest.raises(TypeError, match="planted"):
        call_within(10, fails)


def test_a_call_that_does_not_return_is_left_alone():
    go, gone = threading.Event(), threading.Event()

    def blocks():
        go.wait()
        gone.set()

    with pytest.raises(TimeoutError):
        call_within(0.01, blocks)
    assert not gone.is_set()
    go.set()
    assert gone.wait(10)
