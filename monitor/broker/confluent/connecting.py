"""Reaches the cluster, or says in one sentence why that does not work.

A client of librdkafka never fails because it cannot connect: it tries again without end. So before one is built, an
AdminClient asks for metadata. It reports each failed connection to a callback, and those tell what is wrong.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from monitor.broker.client import ClientError, Failure
from monitor.broker.confluent.client_errors import failure_of_kafka, kafka_error, translated_settings
from monitor.broker.confluent.config import client_options
from monitor.broker.connection.delay import reported_delay
from monitor.broker.connection.diagnosis import Diagnosis, no_answer, not_resolved, printable
from monitor.broker.connection.tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import KafkaError

    from monitor.settings import Settings

log, library_log = logging.getLogger(__name__), logging.getLogger("librdkafka")

ATTEMPT_SECONDS = 0.4  # the first; later ones are longer where an answer is late
HANDSHAKE_SECONDS = 2.0
ALERT_SECONDS = 1.0
_SPOKEN = re.compile(r"(?:\w+://)?(?P<where>\S+:\d+)/\w+: (?P<what>.+?)(?: \(after \d+ms in state \w+\).*)?", re.DOTALL)
_REFRESH_FAILED = "Failed to acquire SASL OAUTHBEARER token: "
_PASSING_TOKEN_ERRORS = {"", "server_error", "temporarily_unavailable"}
_LOGIN_ERROR, _TLS_ERROR, _NOT_RESOLVED = "_AUTHENTICATION", "SSL routines", "_RESOLVE"
_UNKNOWN_MECHANISM = "Unsupported SASL mechanism"
_UNREACHED = ("Connect to", "Failed to resolve")  # nobody to ask


class LibraryLog:
    """Takes the lines that librdkafka logs. All are for those who debug: what matters comes as an error as well."""

    def log(self, _level: int, line: str, *words: object) -> None:
        library_log.debug(line, *words)


class ConnectionErrors:
    """The last error of each server, and what it means. `hear` is the client's `error_cb`."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._diagnosis = settings, Diagnosis(settings)
        self._servers = [_address(server) for server in settings.bootstrap_servers.split(",")]
        self._last: dict[str, tuple[str, str]] = {}  # server -> name and text of its last error
        self._refusals: dict[str, str] = {}  # server -> what another try will not change
        self._secret = settings.password() if settings.sasl_token_url else ""
        self._token_failure = ""  # what a token server answered last
        self._is_connected = False

    def hear(self, error: KafkaError) -> None:
        """Remember an error. Once connected, explain it in the log: the caller only learns that something is late."""
        log.debug("%s", error.str())
        if error.str().startswith(_REFRESH_FAILED):
            self._hear_of_token(error.str().removeprefix(_REFRESH_FAILED))
            return
        found = _SPOKEN.fullmatch(error.str())
        if found is None:
            return
        where, last = found["where"], (error.name(), printable(found["what"]))
        is_new, self._last[where] = self._last.get(where) != last, last
        is_explained = last[0] in {_LOGIN_ERROR, _NOT_RESOLVED} or _TLS_ERROR in found["what"]
        if self._is_connected and is_new and is_explained:
            self._explain(where)

    def _hear_of_token(self, answer: str) -> None:
        text = answer.replace(self._secret, "…") if self._secret else answer
        is_new, self._token_failure = self._token_failure != text, text
        if self._is_connected and is_new:
            log.warning("%s", no_token(self._settings, text))

    def _explain(self, where: str) -> None:
        """Log it without asking the server: a probe takes seconds, and the caller has other things to do."""
        name, text = self._last[where]
        sentence = f"Kafka at {where}: {text}"
        if name == _LOGIN_ERROR:
            sentence = self._of_login(where, text)
        elif name == _NOT_RESOLVED:
            sentence = not_resolved(where)
        if self._refusals.get(where) != sentence:
            self._refusals[where] = sentence
            log.warning("%s", sentence)

    @contextmanager
    def named(self, admin: AdminClient) -> Iterator[None]:
        """Say in a ClientError what is wrong where a broker's own name for itself is not known here."""
        try:
            yield
        except ClientError as error:
            admin.poll(0)  # calls `hear`
            for where, (name, _) in self._last.items():
                if name == _NOT_RESOLVED:
                    raise ClientError(not_resolved(where), error.failure) from error.__cause__
            raise

    def connected(self) -> None:
        """From now on log what is wrong, instead of collecting it."""
        self._is_connected = True

    def refusal(self) -> str:
        """Why every server refuses for good; empty where one of them may still answer."""
        if is_token_refused(self._token_failure):
            return no_token(self._settings, self._token_failure)
        for where in self._servers:
            if where not in self._refusals and (sentence := self._refusal(where)):
                self._refusals[where] = sentence
        is_final = all(where in self._refusals for where in self._servers)
        return self._refusals[self._servers[0]] if is_final else ""

    def _refusal(self, where: str) -> str:
        """What another try will not change; empty where it may."""
        name, text = self._last.get(where, ("", ""))
        host, _, port = where.rpartition(":")
        host = host.strip("[]")
        if text.startswith(_UNREACHED):
            return ""
        if name == _LOGIN_ERROR:
            is_unknown = _UNKNOWN_MECHANISM in text
            return (is_unknown and self._diagnosis.ask_port(host, int(port))) or self._of_login(where, text)
        if "SSL" in text and (error := _handshake_error(self._settings, host, int(port))):
            return self._diagnosis.tls_failed(where, error)
        return self._diagnosis.ask_port(host, int(port))

    def _of_login(self, where: str, text: str) -> str:
        if _UNKNOWN_MECHANISM in text:
            return self._diagnosis.mechanism_refused(where)
        if "current SASL state" in text:
            return self._diagnosis.no_login(where)
        return self._diagnosis.login_refused(where, text.removeprefix("SASL authentication error: "))

    def summary(self) -> str:
        """What the last tries met: the refusal of one server counts more than the silence of others."""
        if self._refusals:
            return next(iter(self._refusals.values()))
        if self._token_failure:
            return no_token(self._settings, self._token_failure)
        met = "; ".join(f"{where}: {text}" for where, (_, text) in self._last.items())
        return no_answer(self._settings, met or "no answer in time")


def is_token_refused(text: str) -> bool:
    """Whether a token server refused for good. The library passes on the body of its answer, without the HTTP status.

    An answer of 4xx names an error in JSON (RFC 6749, 5.2). The library repeats requests after 5xx by itself.
    """
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return isinstance(answer, dict) and str(answer.get("error", "")) not in _PASSING_TOKEN_ERRORS


def no_token(settings: Settings, text: str) -> str:
    """The sentence for a token that did not come."""
    word = "MONITOR_SASL_PASSWORD" if settings.sasl_password_file is None else "MONITOR_SASL_PASSWORD_FILE"
    where = urlsplit(settings.sasl_token_url).hostname
    return (
        f"{where} gives no token for user {settings.sasl_username!r} ({printable(text)}): "
        f"check MONITOR_SASL_TOKEN_URL, MONITOR_SASL_USERNAME and {word}"
    )


def _address(server: str) -> str:
    """`HOST:PORT` as librdkafka names a server."""
    bare = server.strip().rpartition("://")[2]
    return bare if re.search(r":\d+$", bare) else f"{bare}:9092"


def _handshake_error(settings: Settings, host: str, port: int) -> ssl.SSLError | None:
    """What a TLS handshake of our own meets: the library has one text for all certificates that it does not accept.

    A server may refuse our certificate only after the handshake: it is read on for a moment.
    """
    try:
        with (
            socket.create_connection((host, port), HANDSHAKE_SECONDS) as bare,
            tls_context(settings).wrap_socket(bare, server_hostname=host) as secret,
        ):
            secret.settimeout(ALERT_SECONDS)
            secret.recv(1)
    except ssl.SSLEOFError:
        return None
    except ssl.SSLError as error:
        return error
    except OSError:
        return None
    return None


def connect(settings: Settings, wait_seconds: float) -> tuple[AdminClient, ConnectionErrors]:
    """A connected client, and what it will hear of failed connections.

    Raises ClientError when no server answers in time, or at once when all refuse for good; RefusedError where the
    settings cannot be used.
    """
    errors = ConnectionErrors(settings)
    admin = build(AdminClient, settings, client_options(settings), errors)
    try:
        with reported_delay(settings):
            _reach(admin, settings, errors, time.monotonic() + min(wait_seconds, settings.broker_timeout_seconds))
    except ClientError:
        close_admin(admin)
        raise
    errors.connected()
    return admin, errors


def _reach(admin: AdminClient, settings: Settings, errors: ConnectionErrors, deadline: float) -> None:
    """Ask for the metadata of one topic, because a cluster may have thousands, until an answer comes.

    Raises ClientError when the cluster refuses for good, and when no answer came before `deadline` (monotonic seconds).
    An attempt that ends without an answer doubles the time of the next one, because the library drops late answers. The
    library goes on connecting between attempts. So the first attempts can be short, and a refusal is noticed early.
    """
    seconds = ATTEMPT_SECONDS
    while True:
        try:
            admin.list_topics(settings.beats_topic, timeout=seconds)
        except KafkaException as exception:
            error = kafka_error(exception)
            failure = failure_of_kafka(error)
            if failure not in {Failure.PASSING, Failure.LATE}:
                raise ClientError(f"Kafka at {settings.bootstrap_servers} refuses: {error.str()}") from exception
        else:
            return
        admin.poll(0)  # calls `errors.hear` for each failed connection
        if sentence := errors.refusal():
            raise ClientError(sentence)
        left = deadline - time.monotonic()
        if left <= 0:
            raise ClientError(errors.summary())
        seconds = min(left, seconds * 2 if failure is Failure.LATE else seconds)


def build(kind: Any, settings: Settings, options: dict[str, Any], errors: ConnectionErrors) -> Any:
    """A client of the library, whose errors and log lines come to us."""
    with translated_settings(settings):
        return kind({**options, "error_cb": errors.hear, "logger": LibraryLog()})


def close_admin(admin: AdminClient) -> None:
    """End the client's threads and connections now: it has no `close`."""
    with admin:
        pass
