"""Apache Kafka from a folder: one or three nodes that are killed, frozen and restarted on the same data and ports."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

from kafka import KafkaAdminClient

from monitor.demo.embedded_broker import stop
from tests.chaos.deadline import Deadline

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 90.0
ASK_MS = 10_000
CLUSTER_ID = "ZWNnLW1vbml0b3ItdGVzdA"
INTERNAL_PARTITIONS = 4  # of the topics that keep offsets and transactions
BELOW_EPHEMERAL = range(12_000, 32_000)  # outgoing connections never use these ports while a node is stopped


def steady_port() -> int:
    """A free loopback port that stays free while its node is stopped."""
    for port in random.sample(BELOW_EPHEMERAL, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port on 127.0.0.1 between 12000 and 32000")


class Node:
    """One broker and controller. Its data are kept when it ends."""

    def __init__(self, home: Path, folder: Path, port: int, properties: dict[str, object]) -> None:
        self.number = properties["node.id"]
        self.port = port
        self.is_frozen = False
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "kafka.log"
        self._file = folder / "server.properties"
        self.data = folder / "log"
        self._java = ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        self._java += ["-cp", f"{home}/libs/*"]
        folder.mkdir(parents=True)
        lines = properties | {"log.dirs": self.data}
        self._file.write_text("\n".join(f"{name}={value}" for name, value in lines.items()))
        with self._log.open("ab") as log:
            command = ["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config", str(self._file)]
            subprocess.run([*self._java, *command], check=True, stdout=log, stderr=log)

    @property
    def is_up(self) -> bool:
        return self._process is not None and not self.is_frozen

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*self._java, "kafka.Kafka", str(self._file)], stdout=log, stderr=log)

    def wait_until_up(self) -> None:
        deadline = Deadline(START_SECONDS, f"Kafka listening on port {self.port}, see {self._log}")
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"Apache Kafka did not start: see {self._log}")
            deadline.wait(0.05)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def kill(self) -> None:
        """Send SIGKILL: nothing is flushed, and clients are not notified."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process, self.is_frozen = None, False

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)
        self.is_frozen = False

    def _signal(self, number: int) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)

    def stop(self) -> None:
        self.thaw()
        if self._process is not None:
            stop(self._process, 10)
        self._process = None


class Cluster:
    """Run the nodes until the block ends. Topics have a replica on each node."""

    def __init__(self, home: Path, folder: Path, nodes: int) -> None:
        ports = [(steady_port(), steady_port()) for _ in range(nodes)]
        voters = ",".join(f"{number}@127.0.0.1:{pair[1]}" for number, pair in enumerate(ports, 1))
        self.address = ",".join(f"127.0.0.1:{port}" for port, _ in ports)
        self.nodes = {
            number: Node(home, folder / f"node-{number}", pair[0], _properties(number, pair, voters, nodes))
            for number, pair in enumerate(ports, 1)
        }

    def __enter__(self) -> Self:
        try:
            for node in self.nodes.values():
                node.start()
            for node in self.nodes.values():
                node.wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            node.stop()
            shutil.rmtree(node.data, ignore_errors=True)  # its log stays

    def leader_of(self, topic: str, partition: int) -> Node | None:
        """The node that leads a partition; None while there is no leader or no answer."""
        found = self._partitions(topic)
        return self.nodes.get(found[partition]["leader_id"]) if partition in found else None

    def coordinator_of(self, name: str, topic: str) -> Node | None:
        """The coordinator node of a group (`__consumer_offsets`) or a transactional id (`__transaction_state`)."""
        return self.leader_of(topic, abs(java_hash(name)) % INTERNAL_PARTITIONS)

    def is_whole(self) -> bool:
        """Whether all replicas of every partition are in sync, so that the next node can be killed."""
        if not all(node.is_up for node in self.nodes.values()):  # which the others may not have noticed yet
            return False
        found = self._partitions(None)
        return bool(found) and all(len(one["isr_nodes"]) == len(self.nodes) for one in found.values())

    def _partitions(self, topic: str | None) -> dict[Any, dict[str, Any]]:
        """Partitions by number, or by topic and number; empty while the cluster does not answer."""
        with contextlib.suppress(Exception), closing(self._admin()) as admin:  # a failing node can raise any error
            return {
                partition["partition_index"] if topic else (one["name"], partition["partition_index"]): partition
                for one in admin.describe_topics([topic] if topic else None)
                for partition in one["partitions"]
            }
        return {}

    def _admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(
            bootstrap_servers=self.address.split(","), bootstrap_timeout_ms=ASK_MS, request_timeout_ms=ASK_MS
        )


def java_hash(text: str) -> int:
    """Java's String.hashCode, by which Kafka finds the coordinator of a name."""
    found = 0
    for letter in text:
        found = (31 * found + ord(letter)) & 0xFFFFFFFF
    return found - (found >> 31 << 32)


def _properties(number: int, ports: tuple[int, int], voters: str, nodes: int) -> dict[str, object]:
    replicas, in_step = min(nodes, 3), 2 if nodes > 1 else 1
    return {
        "process.roles": "broker,controller",
        "node.id": number,
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{ports[1]}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports[0]}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_step,
        "offsets.topic.num.partitions": INTERNAL_PARTITIONS,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": INTERNAL_PARTITIONS,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_step,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "log.retention.check.interval.ms": 10_000,
        "log.cleaner.backoff.ms": 500,
    }
