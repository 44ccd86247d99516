"""Why Kafka cannot be reached, said at once.

The client tries again until its time is up, and then says only that it could not: a wrong password and a broker that
is down look alike. `Client` ends a bootstrap that can never come right, with the reason in one sentence.
"""

from __future__ import annotations

import logging
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka.errors import (
    IllegalSaslStateError,
    InvalidReceiveError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    RequestTimedOutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from monitor.broker.connection.probe import ask
from monitor.broker.kafka_python.fetching import fill, room

if TYPE_CHECKING:
    from monitor.settings import Settings

log = logging.getLogger(__name__)

READ_BYTES = 1024 * 1024
_EXPIRED, _NOT_YET_VALID, _NOT_TRUSTED = 10, 9, {2, 18, 19, 20, 21}  # OpenSSL's X509_V_ERR_*
_OTHER_HOST = {62, 64}


class UnreachableError(KafkaError):  # type: ignore[misc]
    """The message is a sentence for people."""


class Client(KafkaNetClient):  # type: ignore[misc]
    """What the client's own classes take as `kafka_client`."""

    def __init__(self, settings: Settings, **configs: Any) -> None:
        net = NetworkSelector(**configs)
        super().__init__(net, _Manager(settings, net, **configs))


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    """Remembers why connections failed; once every server has refused for good, trying again is no use."""

    def __init__(self, settings: Settings, net: NetworkSelector, **configs: Any) -> None:
        super().__init__(net, **configs)
        self._settings = settings
        self._failures: dict[str, str] = {}  # node -> what was wrong the last time
        self._refusals: dict[str, str] = {}  # node -> what another try will not change

    def bootstrap(self, *args: Any, **options: Any) -> None:
        """kafka-python 3.0.12: a client that cannot bootstrap leaves its IO thread and its sockets behind."""
        try:
            super().bootstrap(*args, **options)
        except Exception:
            self.close()
            self._net.close()
            raise

    def get_connection(self, node_id: Any, *args: Any, **options: Any) -> Any:
        """Called for every request; most find their connection there already."""
        if self._refusals and not self.bootstrapped:
            servers = [server.node_id for server in self.cluster.bootstrap_brokers()]
            if all(server in self._refusals for server in servers):
                raise UnreachableError(self._refusals[servers[0]])
        is_new = node_id not in self._conns
        connection = super().get_connection(node_id, *args, **options)
        if is_new:
            connection.close_future.add_errback(partial(self._note, node_id))
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
        transport._sock_recv = partial(_receive, transport)  # noqa: SLF001 - the one place to step in
        return transport

    def _note(self, node_id: Any, error: Exception) -> None:
        server = self.cluster.broker_metadata(node_id)
        if server is None or self.closed:
            return
        sentence, is_final = explain(error, server.host, server.port, self._settings)
        if not is_final and node_id not in self._refusals and not self.bootstrapped:
            told = _ask(error, server.host, server.port, self._settings)
            sentence, is_final = (told, True) if told else (sentence, False)
        if is_final and self._refusals.get(node_id) != sentence:
            self._refusals[node_id] = sentence
            if self.bootstrapped:  # the caller only learns that something took too long
                log.warning("%s", sentence)
        if not isinstance(error, RequestTimedOutError) or node_id not in self._failures:
            self._failures[node_id] = sentence


def _receive(transport: Any) -> tuple[memoryview, Exception | None]:
    """What a connection has brought, plain or TLS.

    kafka-python 3.0.12 reads 4096 bytes at a time: a fetch of 4 MB is a thousand calls, each of which asks for the
    interpreter's lock. And what it reads together with the end of a connection it drops, so that the broker's reason
    for closing it is lost about every second time: here that is handed on, and the next read meets the end again.
    The bulk of a large answer goes straight to its place.
    """
    pieces: list[bytes] = []
    error = None
    while not error:
        try:
            if not pieces and (place := room(transport)) is not None:
                count = transport._sock.recv_into(place)  # noqa: SLF001
                fill(transport, count)
            else:
                pieces.append(transport._sock.recv(READ_BYTES))  # noqa: SLF001
                count = len(pieces[-1])
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            break
        except (OSError, ValueError, AttributeError, MemoryError) as failure:  # it broke, or was closed meanwhile
            error = KafkaConnectionError(failure)
        else:
            error = None if count else KafkaConnectionError("socket disconnected")
    data = b"".join(pieces) if len(pieces) > 1 else (pieces or [b""])[0]
    return memoryview(data), None if data else error


def explain(error: Exception, host: str, port: int, settings: Settings) -> tuple[str, bool]:
    """A sentence about a connection that failed, and whether another try would be no use."""
    where, cause = f"{host}:{port}", _cause(error)
    if isinstance(cause, SaslAuthenticationFailedError):
        return (
            f"Kafka at {where} refuses the login of user {settings.sasl_username!r} with {settings.sasl_mechanism} "
            f"({_short(cause)}): check MONITOR_SASL_USERNAME and the password, and that the broker knows this user for "
            "this mechanism"
        ), True
    if isinstance(cause, UnsupportedSaslMechanismError):
        return f"Kafka at {where} does not take MONITOR_SASL_MECHANISM={settings.sasl_mechanism}", False
    if isinstance(cause, IllegalSaslStateError):
        return (
            f"Kafka at {where} takes no login: set MONITOR_SECURITY_PROTOCOL="
            f"{settings.security_protocol.removeprefix('SASL_')}, or name the port that does"
        ), True
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _of_certificate(cause, where, settings), True
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return _of_tls(cause, where, settings), True
    return f"{where}: {_short(cause)}", False


def _cause(error: Exception) -> Exception:
    """What the client wrapped up, where there is anything."""
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error.__context__
    return inner if isinstance(error, KafkaConnectionError) and isinstance(inner, ssl.SSLError) else error


def _short(error: Exception) -> str:
    """In the broker's words, which may be anybody's as long as nobody has proved who they are."""
    text = str(error.args[0] if error.args else error).removeprefix(f"{type(error).__name__}: ")
    return "".join(character for character in text[:200] if character.isprintable())


def _of_certificate(error: ssl.SSLCertVerificationError, where: str, settings: Settings) -> str:
    told, code = error.verify_message.rstrip("."), error.verify_code
    if code == _EXPIRED:
        return f"the certificate of Kafka at {where}, or one that signed it, has expired: the broker needs a new one"
    if code == _NOT_YET_VALID:
        return f"the certificate of Kafka at {where} is not valid yet: is this machine's clock right?"
    if code in _OTHER_HOST:
        return (
            f"the certificate of Kafka at {where} is for another host ({told}): name the broker in "
            "MONITOR_BOOTSTRAP_SERVERS, and the broker itself in its advertised listeners, as the certificate does"
        )
    if code in _NOT_TRUSTED:
        trusted = settings.ssl_cafile or "this system's certificates, since MONITOR_SSL_CAFILE is not set"
        return (
            f"the certificate of Kafka at {where} is not signed by anyone in {trusted} ({told}): put the certificate "
            "of the broker's CA into the file MONITOR_SSL_CAFILE"
        )
    return f"the certificate of Kafka at {where} cannot be accepted: {told}"


def _of_tls(error: ssl.SSLError, where: str, settings: Settings) -> str:
    words = (error.reason or str(error)).lower().replace("_", " ")
    reason = words.rpartition("alert ")[2]
    if reason == words or "version" in reason:
        return f"TLS with Kafka at {where} fails ({reason}): does that port speak TLS 1.2 or 1.3?"
    if settings.ssl_certfile is None:
        return (
            f"Kafka at {where} wants a certificate of ours ({reason}): set MONITOR_SSL_CERTFILE and MONITOR_SSL_KEYFILE"
        )
    return (
        f"Kafka at {where} does not accept the certificate in {settings.ssl_certfile} ({reason}): it must be valid and "
        "signed by a CA that the broker trusts"
    )


def _ask(error: Exception, host: str, port: int, settings: Settings) -> str:
    """Find out what a port speaks that closed the connection without a word; empty when it does not tell."""
    where, protocol = f"{host}:{port}", settings.security_protocol
    is_closed = isinstance(error, InvalidReceiveError | KafkaConnectionError | UnsupportedSaslMechanismError)
    found = ask(host, port) if is_closed else None
    if found is None:
        return ""
    if found.is_tls != protocol.endswith("SSL"):
        spoken, missing = ("TLS", "without") if found.is_tls else ("no TLS", "with")
        return (
            f"Kafka at {where} speaks {spoken}, and MONITOR_SECURITY_PROTOCOL={protocol} is {missing}: set "
            f"{found.protocol}, or name another port"
        )
    if found.mechanisms and not protocol.startswith("SASL"):
        return (
            f"Kafka at {where} wants a login, and MONITOR_SECURITY_PROTOCOL={protocol} has none: set {found.protocol} "
            f"with MONITOR_SASL_MECHANISM (it takes {', '.join(found.mechanisms)}), _USERNAME and _PASSWORD_FILE"
        )
    if found.mechanisms and settings.sasl_mechanism not in found.mechanisms:
        return (
            f"Kafka at {where} does not take MONITOR_SASL_MECHANISM={settings.sasl_mechanism}: set one of "
            f"{', '.join(found.mechanisms)}, or have the broker enable it"
        )
    return ""
