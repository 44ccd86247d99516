"""A defect in a function of ours that the client calls on its IO thread ends the process."""

from __future__ import annotations

import pytest
from kafka.errors import KafkaConnectionError

from monitor.broker.kafka_python.io_thread import ends_the_process_on_a_defect


@pytest.fixture
def ended(monkeypatch):
    found = []
    monkeypatch.setattr("monitor.log.end_crashed", found.append)
    return found


def test_a_defect_ends_the_process(ended):
    @ends_the_process_on_a_defect
    def call():
        raise TypeError("planted")

    with pytest.raises(TypeError):
        call()
    assert [str(error) for error in ended] == ["planted"]


def test_errors_of_kafka_and_those_that_the_client_raised_pass(ended):
    @ends_the_process_on_a_defect
    def call(error):
        exec("raise error", {"__name__": "kafka.planted", "error": error})

    for error in (KafkaConnectionError("gone"), KeyError("leak")):
        with pytest.raises(type(error)):
            call(error)
    assert ended == []
