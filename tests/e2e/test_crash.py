"""A defect of the monitor ends the process at once, with a traceback and exit code 70, wherever it shows."""

from __future__ import annotations

import sys
from contextlib import closing

import pytest

from monitor.broker import Publisher
from monitor.records.record import Message
from tests.e2e.daemon import Daemon

END_SECONDS = 30
PLANTS = {
    "while polling": "from monitor.broker.reading.assignment import Assignment as C; C.expects = fail",
    "in the thread that delivers": "from monitor.broker.kafka_python.producer import KafkaPythonProducer as C; "
    "C._send = fail",
    "in the thread that scores": "from monitor.model.scorer import Scorer as C; C.score = fail",
    "in a thread that nobody waits for": "from monitor.broker import KafkaBroker as C; C.lag = in_thread",
    "in the thread that receives": "from monitor.broker.kafka_python import sockets as C; C.READ_BYTES = Size()",
    "in a listener that the client calls": "from monitor.broker.kafka_python.group import RebalanceListener as C; "
    "C.on_partitions_assigned = fail",
}
QUICK = "in the thread that delivers"  # this one runs in `make test`
OF_CONFLUENT = {
    "in a callback of a rebalance": "from monitor.broker.confluent.group import Rebalances as C; C._on_assign = fail",
    "in the columns": "from monitor.broker.confluent import group as C; C.blocks_of = fail",
    "in the thread that delivers": "from monitor.broker.confluent.producer import ConfluentProducer as C; "
    "C._produce = fail",
}
PROGRAM = """
import threading
from monitor import cli


def fail(*_, **__):
    raise TypeError("planted")


class Size:
    def __index__(self):
        raise TypeError("planted")


def in_thread(*_):
    threading.Thread(target=KafkaBroker_fail).start()
    return {{}}


def KafkaBroker_fail():
    exec("raise TypeError('planted')", {{"__name__": "monitor.planted"}})


{plant}
cli.main()
"""


@pytest.mark.parametrize(
    "plant",
    [pytest.param(plant, id=name, marks=() if name == QUICK else pytest.mark.slow) for name, plant in PLANTS.items()],
)
def test_a_planted_type_error_ends_the_daemon_with_its_traceback(make_settings, model_file, tmp_path, plant):
    crash(make_settings(partitions=1, kafka_client="kafka-python"), model_file, tmp_path, plant)


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("plant", OF_CONFLUENT.values(), ids=OF_CONFLUENT)
def test_so_does_one_in_what_confluent_kafka_calls(make_settings, model_file, tmp_path, plant):
    crash(make_settings(partitions=1, kafka_client="confluent"), model_file, tmp_path, plant)


def crash(settings, model_file, tmp_path, plant):
    program = tmp_path / "planted.py"
    program.write_text(PROGRAM.format(plant=plant))
    with closing(Publisher(settings)) as publisher:
        for _ in range(20):
            publisher.send(Message(settings.beats_topic, b"source", b"not a beat"))
            publisher.send(Message(settings.beats_topic, b"source", bytes(560)))
        publisher.flush()
    daemon = Daemon(settings, model_file, tmp_path / "log")
    daemon.command = (sys.executable, str(program), "run")
    with daemon:
        assert daemon.process.wait(END_SECONDS) == 70, daemon.log()
    assert "the monitor crashed: this is a defect" in daemon.log()
    assert "TypeError: planted" in daemon.log()
    assert "Traceback (most recent call last)" in daemon.log()
