"""The broker of the tests: Apache Kafka from the folder KAFKA_HOME, else the embedded one (see `conftest.broker`)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.broker import Reader, kafka_client
from monitor.demo.embedded_broker import embedded_broker, free_port, stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.settings import Settings

LIMIT_SECONDS = 30.0
LOOK_SECONDS = 0.05  # between two attempts to connect
KAFKA_START_SECONDS = 180.0  # it takes 3 s on idle cores, and 60 s were not enough on busy ones


@dataclass(frozen=True, slots=True)
class TestBroker:
    """The address of a broker, and whether it is Apache Kafka."""

    __test__ = False

    address: str
    is_kafka: bool


def docker_works() -> bool:
    """Whether a Docker engine and compose answer; the command alone may be installed without them."""
    if shutil.which("docker") is None:
        return False
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            return False
    return True


@dataclass(frozen=True, slots=True)
class Extras:
    """What a broker that a test starts has besides the listener without security."""

    listeners: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # name -> security protocol, port
    properties: tuple[str, ...] = ()  # lines of server.properties; the last of a name counts
    users: tuple[str, ...] = ()  # as `--add-scram` takes them


NO_EXTRAS = Extras()


@contextmanager
def kafka_from_folder(home: Path, data: Path, extras: Extras = NO_EXTRAS) -> Iterator[str]:
    """Apache Kafka out of `home/libs`, one KRaft node on free loopback ports; gives its address without security."""
    port, controller = free_port(), free_port()
    properties = data / "server.properties"
    properties.write_text(_properties(data, port, controller, extras))
    java = ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/libs/*"]
    format_log = ["kafka.tools.StorageTool", "format", "--cluster-id", "ZWNnLW1vbml0b3ItdGVzdA", "--config"]
    users = [word for user in extras.users for word in ("--add-scram", user)]
    with (data / "kafka.log").open("wb") as log:
        subprocess.run([*java, *format_log, str(properties), *users], check=True, stdout=log, stderr=log)
        process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        stop(process, 10)


def _properties(data: Path, port: int, controller: int, extras: Extras) -> str:
    more = extras.listeners.items()
    listeners = "".join(f",{name}://localhost:{listens}" for name, (_, listens) in more)
    protocols = "".join(f",{name}:{protocol}" for name, (protocol, _) in more)
    return "\n".join(
        [
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{controller}",
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}{listeners}",
            "controller.listener.names=CONTROLLER",
            f"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}",
            f"log.dirs={data}/log",
            "auto.create.topics.enable=false",
            "offsets.topic.num.partitions=4",
            "offsets.topic.replication.factor=1",
            "transaction.state.log.num.partitions=4",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "group.initial.rebalance.delay.ms=0",
            "group.min.session.timeout.ms=1000",
            *extras.properties,
        ]
    )


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline, pause = time.monotonic() + KAFKA_START_SECONDS, threading.Event()
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            pause.wait(LOOK_SECONDS)
        else:
            return
    raise RuntimeError("Apache Kafka did not start")


@contextmanager
def broker_at_hand(data: Path) -> Iterator[TestBroker]:
    """Start Apache Kafka from the folder KAFKA_HOME where Java is there, else the embedded broker."""
    home = os.environ.get("KAFKA_HOME")
    if home and shutil.which("java"):
        with kafka_from_folder(Path(home).resolve(), data) as address:
            yield TestBroker(address, is_kafka=True)
    else:
        with embedded_broker(data / "broker.log") as address:
            yield TestBroker(address, is_kafka=False)


def take_transactional_id(settings: Settings) -> None:
    """Kafka then takes nothing more from the producer that had this instance's name before."""
    taker = kafka_client(settings).producer(settings, LIMIT_SECONDS, transactional_id=settings.transactional_id)
    taker.init_transactions(LIMIT_SECONDS)
    taker.discard()


def read_committed(settings: Settings, topic: str) -> list[Any]:
    """Every record of a topic, in committed transactions.

    Kafka answers a commit before the records can be read: the markers of the transaction come a moment later.
    """
    client = kafka_client(settings)
    with closing(client.admin(settings, LIMIT_SECONDS)) as admin, closing(client.topic(settings, topic)) as reader:
        partitions, deadline = reader.partitions(), time.monotonic() + LIMIT_SECONDS
        is_atomic = settings.delivery == "exactly-once"
        while is_atomic and admin.log_ends(topic, partitions) != reader.ends(partitions):
            assert time.monotonic() < deadline, f"a transaction on {topic} stays open"
    with Reader(settings, topic, from_beginning=True) as whole:
        return list(whole.until_end())
