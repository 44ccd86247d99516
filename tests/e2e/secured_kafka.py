"""Apache Kafka with listeners for every kind of TLS and login, and the settings that reach each of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.demo.embedded_broker import free_port
from tests.brokers import Extras, kafka_from_folder
from tests.certificates import DAY, Authority, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "s3ntinel-Pass/word+0815"
PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
LISTENERS = {
    "LOGIN": "SASL_SSL",
    "SCRAM": "SASL_SSL",  # without PLAIN
    "CLEAR": "SASL_PLAINTEXT",
    "TLS": "SSL",
    "MUTUAL": "SSL",  # asks for a client's certificate
    "EXPIRED": "SSL",
    "ELSEWHERE": "SSL",  # has a certificate for another host
}


@dataclass(frozen=True, slots=True)
class Locked:
    """The broker's ports by listener, its address without security, and the certificates."""

    ports: dict[str, int]
    open_address: str
    authority: Authority
    stranger: Authority
    client: Identity
    foreign: Identity  # a client's, signed by the stranger

    def at(self, listener: str, host: str = "localhost") -> dict[str, str]:
        """Settings that reach a listener and trust its certificate, without a login or a certificate of ours."""
        protocol = LISTENERS[listener]
        found = {"bootstrap_servers": f"{host}:{self.ports[listener]}", "security_protocol": protocol}
        return found | ({"ssl_cafile": str(self.authority.file)} if protocol.endswith("SSL") else {})

    def login(self, listener: str, mechanism: str = "PLAIN", password_file: Path | None = None) -> dict[str, str]:
        """Settings that log in as well."""
        word = {"sasl_password": PASSWORD} if password_file is None else {"sasl_password_file": str(password_file)}
        return self.at(listener) | {"sasl_mechanism": mechanism, "sasl_username": "monitor"} | word

    def mutual(self, identity: Identity | None = None) -> dict[str, str]:
        """Settings that show a certificate."""
        ours = identity or self.client
        return self.at("MUTUAL") | {"ssl_certfile": str(ours.certificate), "ssl_keyfile": str(ours.key)}


@contextmanager
def locked_kafka(home: Path, data: Path) -> Iterator[Locked]:
    """Start it; certificates are made in `data`."""
    authority, stranger = Authority(data, "authority"), Authority(data, "stranger")
    server = authority.issue("server")
    keystores = {
        "EXPIRED": authority.issue("expired", valid=-DAY),
        "ELSEWHERE": authority.issue("elsewhere", host="kafka.example"),
    }
    ports = {name: free_port() for name in LISTENERS}
    properties = (
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={server.both}",
        "ssl.truststore.type=PEM",
        f"ssl.truststore.location={authority.file}",
        "listener.name.mutual.ssl.client.auth=required",
        *(f"listener.name.{name.lower()}.ssl.keystore.location={keys.both}" for name, keys in keystores.items()),
        *_logins(),
    )
    users = tuple(f"SCRAM-SHA-{bits}=[name=monitor,password={PASSWORD}]" for bits in (256, 512))
    extras = Extras({name: (kind, ports[name]) for name, kind in LISTENERS.items()}, properties, users)
    with kafka_from_folder(home, data, extras) as address:
        client, foreign = authority.issue("client"), stranger.issue("foreign")
        yield Locked(ports, address, authority, stranger, client, foreign)


def _logins() -> Iterator[str]:
    for name in ("login", "scram", "clear"):
        enabled = "SCRAM-SHA-512" if name == "scram" else "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
        yield f"listener.name.{name}.sasl.enabled.mechanisms={enabled}"
        yield f'listener.name.{name}.plain.sasl.jaas.config={PLAIN_LOGIN} user_monitor="{PASSWORD}";'
        for bits in (256, 512):
            yield f"listener.name.{name}.scram-sha-{bits}.sasl.jaas.config={SCRAM_LOGIN}"


OPEN = {
    "PLAIN": lambda locked: locked.login("LOGIN"),
    "SCRAM-SHA-256": lambda locked: locked.login("LOGIN", "SCRAM-SHA-256"),
    "SCRAM-SHA-512": lambda locked: locked.login("SCRAM", "SCRAM-SHA-512"),
    "PLAIN without TLS": lambda locked: locked.login("CLEAR"),
    "TLS alone": lambda locked: locked.at("TLS"),
    "mutual TLS": lambda locked: locked.mutual(),
}
