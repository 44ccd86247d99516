"""Translates the settings into options of librdkafka, the C library that confluent-kafka is built on."""

from __future__ import annotations

import os.path
import ssl
from typing import TYPE_CHECKING, Any

from monitor.broker.connection.tls import tls_context
from monitor.broker.limits import (
    MAX_INFLATED_BYTES,
    MAX_REQUEST_BYTES,
    TRANSACTION_MS,
    WAIT_SECONDS,
    fetch_pace,
    heartbeat_ms,
)

if TYPE_CHECKING:
    from monitor.settings import Settings

POLL_MS = 300_000
# Of one answer to a fetch, which is one block of memory. Blocks of 8 and 16 MiB leave gaps in the heap when their sizes
# change. With at most 1 MiB of a partition more partitions are in a step, and a beat costs 0.4 us more.
FETCH_BYTES = 4 * 1024 * 1024
SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
)
# Of a partition, of all: 8 MiB are nearly a full step of beats, and two answers. With 64 MiB the rate was the same, the
# monitor took 70 MiB more, and that grew by 9 % over ten million beats, as the queue filled.
QUEUED_RECORDS, QUEUED_KIBIBYTES = 100_000, 8 * 1024
DELIVERY_MS = 120_000
_PASSWORD, _SECRET = "sasl.password", "sasl.oauthbearer.client.secret"
_NOTHING_LOGGED, _ALL_LOGGED = 0, 7


class ConfluentOptions(dict[str, Any]):
    """Options of one client. Their text leaves the password out."""

    def __repr__(self) -> str:
        return repr({name: "…" if name in {_PASSWORD, _SECRET} else value for name, value in self.items()})

    def extended(self, options: dict[str, Any]) -> ConfluentOptions:
        return ConfluentOptions(self | options)


def client_options(settings: Settings) -> ConfluentOptions:
    """Options that all clients share. Raises RefusedError for a file that cannot be used."""
    options = ConfluentOptions(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "client.id": settings.client_id,
            "security.protocol": settings.security_protocol,
            "allow.auto.create.topics": False,
            "reconnect.backoff.max.ms": 1000,  # with the client's 10 s we would reconnect long after the broker is back
            "socket.connection.setup.timeout.ms": 5000,
            "socket.nagle.disable": True,
            "topic.metadata.refresh.interval.ms": 30_000,  # so that added partitions are found
            "log_level": _ALL_LOGGED if settings.log_level == "DEBUG" else _NOTHING_LOGGED,
            "log.connection.close": False,
        }
    )
    if settings.security_protocol.endswith("SSL"):
        options |= _tls_options(settings)
    if settings.security_protocol.startswith("SASL"):
        options |= _login_options(settings)
    return options


def _login_options(settings: Settings) -> dict[str, Any]:
    if settings.sasl_mechanism != "OAUTHBEARER":
        return {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.sasl_username,
            _PASSWORD: settings.password(),
        }
    options = {
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": settings.sasl_token_url,
        "sasl.oauthbearer.client.id": settings.sasl_username,
        _SECRET: settings.password(),
    }
    if settings.sasl_scope:
        options["sasl.oauthbearer.scope"] = settings.sasl_scope
    # the library looks for the certificates of the machine that built it, which another Linux has elsewhere
    found = next(filter(os.path.isfile, SYSTEM_CERTIFICATES), None)
    return options | ({"https.ca.location": found} if found else {})


def _tls_options(settings: Settings) -> dict[str, Any]:
    tls_context(settings)  # reports a bad file better than librdkafka does
    system = ssl.get_default_verify_paths()
    trusted = settings.ssl_cafile or system.cafile or system.capath or "probe"
    options = {"ssl.ca.location": str(trusted), "ssl.endpoint.identification.algorithm": "https"}
    if settings.ssl_certfile is not None:
        options["ssl.certificate.location"] = str(settings.ssl_certfile)
        options["ssl.key.location"] = str(settings.ssl_keyfile or settings.ssl_certfile)
    return options


def group_options(settings: Settings) -> ConfluentOptions:
    """Options of a member of the group. Its queue holds some steps, so that one is read while another is judged."""
    min_bytes, wait_ms = fetch_pace(settings.max_wait_ms)
    return _reading_options(settings).extended(
        {
            "auto.offset.reset": settings.offset_reset,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": settings.session_timeout_ms,
            "max.poll.interval.ms": max(POLL_MS, settings.session_timeout_ms),  # the library refuses a shorter one
            "heartbeat.interval.ms": heartbeat_ms(settings.session_timeout_ms),
            "fetch.min.bytes": min_bytes,
            "fetch.wait.max.ms": wait_ms,
            "max.partition.fetch.bytes": FETCH_BYTES,
            "fetch.max.bytes": FETCH_BYTES,
            "queued.min.messages": QUEUED_RECORDS,
            "queued.max.messages.kbytes": QUEUED_KIBIBYTES,
            "fetch.error.backoff.ms": 100,  # a search for the end of a batch takes some 30 reads that fail
            "fetch.queue.backoff.ms": 2,  # with the client's second a full queue runs empty before it asks again
        }
    )


def topic_options(settings: Settings, max_wait_ms: int) -> ConfluentOptions:
    """Options of a reader without a group. The library wants a name of one; nothing joins it or commits to it."""
    return _reading_options(settings).extended({"auto.offset.reset": "earliest", "fetch.wait.max.ms": max_wait_ms})


def _reading_options(settings: Settings) -> ConfluentOptions:
    return client_options(settings).extended(
        {
            "group.id": settings.group_id,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,  # says where a log ends that ends in transaction markers
            # for the offsets as much as for the beats: only then does a request for committed offsets wait for a
            # transaction that is still open, such as that of a frozen member
            "isolation.level": "read_committed",
            "check.crcs": True,
            "receive.message.max.bytes": MAX_INFLATED_BYTES,  # also of a batch that was inflated, with zstd alone
        }
    )


def producer_options(settings: Settings, transactional_id: str | None, linger_ms: int) -> ConfluentOptions:
    """Options of a producer; of one with transactions where it has an id for them."""
    options = client_options(settings).extended(
        {
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": linger_ms,
            "partitioner": "murmur2_random",  # a key has the same partition with every client
            "message.max.bytes": MAX_REQUEST_BYTES,  # the broker's own limit decides
        }
    )
    if transactional_id is None:
        # as long as Kafka's own clients try: a message that is given up and sent again may be written twice
        return options.extended({"message.timeout.ms": DELIVERY_MS})
    return options.extended(
        {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_MS,
            "socket.timeout.ms": int(1000 * WAIT_SECONDS),  # the call that adds offsets keeps to no other limit
            "retry.backoff.ms": 5,  # a transaction must often wait until the broker has ended the one before
            "delivery.report.only.error": True,
        }
    )
