"""A client that says at once why it cannot connect. For correctness.

kafka-python 3.0.12 tries to connect until its time limit, and then says only that it could not: a wrong password and a
broker that is down look alike. It also does not close its IO thread and its sockets after that.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka.errors import KafkaTimeoutError, RequestTimedOutError
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from monitor.broker.connection.diagnosis import not_resolved
from monitor.broker.kafka_python import known_versions
from monitor.broker.kafka_python.client_errors import UnreachableError
from monitor.broker.kafka_python.explanation import explain, is_closed, is_not_resolved
from monitor.broker.kafka_python.io_thread import ends_the_process_on_a_defect
from monitor.broker.kafka_python.sockets import patch_transport

if TYPE_CHECKING:
    from monitor.broker.connection.diagnosis import Diagnosis

log = logging.getLogger(__name__)


class Client(KafkaNetClient):  # type: ignore[misc]
    """The network client. The classes of kafka-python take it as their option `kafka_client`."""

    def __init__(self, diagnosis: Diagnosis, **configs: Any) -> None:
        known_versions.require_known()
        net = NetworkSelector(**configs)
        super().__init__(net, _Manager(diagnosis, net, **configs))

    def close_connection(self, node_id: int) -> None:
        """Close the connection to one broker, which the client opens again when it needs it."""
        self._manager.run(self._manager.close, node_id)


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    """Remembers why connections failed; stops trying when every server has refused for good."""

    def __init__(self, diagnosis: Diagnosis, net: NetworkSelector, **configs: Any) -> None:
        super().__init__(net, **configs)
        self._diagnosis = diagnosis
        self._failures: dict[str, str] = {}  # node -> what was wrong the last time
        self._refusals: dict[str, str] = {}  # node -> what another try will not change

    def bootstrap(self, *args: Any, **options: Any) -> None:
        """As the client does, and close it when that fails: kafka-python 3.0.12 leaves thread and sockets behind."""
        try:
            super().bootstrap(*args, **options)
        except BaseException:
            self.close()
            self._net.close()
            raise

    def get_connection(self, node_id: Any, *args: Any, **options: Any) -> Any:
        """The connection to a node. Called for every request; most find theirs open.

        Raises UnreachableError before the first connection, when every server has refused for good.
        """
        if self._refusals and not self.bootstrapped:
            servers = [server.node_id for server in self.cluster.bootstrap_brokers()]
            if all(server in self._refusals for server in servers):
                raise UnreachableError(self._refusals[servers[0]])
        is_new = node_id not in self._conns
        connection = super().get_connection(node_id, *args, **options)
        if is_new:
            connection.close_future.add_errback(partial(self._remember, node_id))
        return connection

    async def _do_bootstrap(self, deadline: float | None) -> Any:
        self._refusals.clear()
        try:
            return await super()._do_bootstrap(deadline)
        except KafkaTimeoutError as error:
            if self._refusals:
                raise UnreachableError(next(iter(self._refusals.values()))) from error
            raise KafkaTimeoutError("; ".join(self._failures.values()) or "no answer in time") from error

    async def _build_transport(self, *args: Any, **options: Any) -> Any:
        transport = await super()._build_transport(*args, **options)
        ends_the_process_on_a_defect(patch_transport)(transport)
        return transport

    @ends_the_process_on_a_defect
    def _remember(self, node_id: Any, error: Exception) -> None:
        """Keep the reason why a connection ended, as a sentence. Called on the client's IO thread."""
        server = self.cluster.broker_metadata(node_id)
        if server is None or self.closed:
            return
        sentence, is_final = explain(self._diagnosis, error, server.host, server.port)
        if not is_final and is_closed(error) and node_id not in self._refusals and not self.bootstrapped:
            answer = self._diagnosis.ask_port(server.host, server.port)
            sentence, is_final = (answer, True) if answer else (sentence, False)
        if self.bootstrapped and is_not_resolved(error) and node_id not in self._failures:
            log.warning("%s", not_resolved(f"{server.host}:{server.port}"))
        if is_final and self._refusals.get(node_id) != sentence:
            self._refusals[node_id] = sentence
            if self.bootstrapped:  # the caller only learns that something took too long
                log.warning("%s", sentence)
        if not isinstance(error, RequestTimedOutError) or node_id not in self._failures:
            self._failures[node_id] = sentence
