"""What every client of ours is given beside the settings."""

from __future__ import annotations

import selectors
import socket

import pytest

from monitor.broker.connection.client_config import Selector, client_config
from monitor.settings import Settings


class Silent(socket.socket):
    def __repr__(self) -> str:
        raise AssertionError("a socket that is not waited for yet was described")


@pytest.fixture
def selector():
    with client_config(Settings(), 1)["selector"]() as made:
        assert isinstance(made, Selector)
        yield made


def test_that_a_socket_is_not_waited_for_is_told_without_describing_it(selector):
    with Silent() as one, Silent() as other:
        selector.register(other, selectors.EVENT_READ)  # as the client always has one, to be woken by
        with pytest.raises(KeyError):
            selector.get_key(one)


def test_a_socket_that_is_waited_for_is_found_by_itself_and_its_number(selector):
    with socket.socket() as one:
        key = selector.register(one, selectors.EVENT_READ, "mine")
        assert selector.get_key(one) == selector.get_key(one.fileno()) == key


def test_a_socket_that_was_closed_while_it_was_waited_for_is_still_found(selector):
    with socket.socket() as one:
        key = selector.register(one, selectors.EVENT_READ, "mine")
        one.close()
        assert selector.get_key(one) == key


def test_a_selector_that_is_closed_has_no_keys():
    selector = Selector()
    selector.close()
    with socket.socket() as one, pytest.raises(RuntimeError):
        selector.get_key(one)
