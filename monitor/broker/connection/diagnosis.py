"""Explains in one sentence why Kafka cannot be reached, and what to change."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.broker.connection.probe import ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.settings import Settings

_EXPIRED, _NOT_YET_VALID, _NOT_TRUSTED = 10, 9, {2, 18, 19, 20, 21}  # OpenSSL's X509_V_ERR_*
_OTHER_HOST = {62, 64}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Explains failed connections of clients with these settings. `where` is `HOST:PORT`."""

    settings: Settings

    def login_refused(self, where: str, reason: str) -> str:
        """The broker knows the mechanism and refuses this user. Another try cannot help."""
        settings = self.settings
        return (
            f"Kafka at {where} refuses the login of user {settings.sasl_username!r} with {settings.sasl_mechanism} "
            f"({printable(reason)}): check MONITOR_SASL_USERNAME and the password, and that the broker knows this user "
            "for this mechanism"
        )

    def mechanism_refused(self, where: str) -> str:
        """The broker does not have the mechanism. `ask_port` may name those that it has."""
        return f"Kafka at {where} does not take MONITOR_SASL_MECHANISM={self.settings.sasl_mechanism}"

    def no_login(self, where: str) -> str:
        """The port takes no login at all. Another try cannot help."""
        return (
            f"Kafka at {where} takes no login: set MONITOR_SECURITY_PROTOCOL="
            f"{self.settings.security_protocol.removeprefix('SASL_')}, or name the port that does"
        )

    def tls_failed(self, where: str, error: ssl.SSLError) -> str:
        """The handshake failed. Another try cannot help."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return _of_certificate(error, where, self.settings)
        return _of_tls(error, where, self.settings)

    def ask_port(self, host: str, port: int) -> str:
        """Why a port closed the connection: the probe asks whether it wants TLS or a login. Empty if still unknown."""
        settings, where, protocol = self.settings, f"{host}:{port}", self.settings.security_protocol
        found = ask(host, port)
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
                f"Kafka at {where} wants a login, and MONITOR_SECURITY_PROTOCOL={protocol} has none: set "
                f"{found.protocol} with MONITOR_SASL_MECHANISM (it takes {', '.join(found.mechanisms)}), "
                "_USERNAME and _PASSWORD_FILE"
            )
        if found.mechanisms and settings.sasl_mechanism not in found.mechanisms:
            return (
                f"Kafka at {where} does not take MONITOR_SASL_MECHANISM={settings.sasl_mechanism}: set one of "
                f"{', '.join(found.mechanisms)}, or have the broker enable it"
            )
        return ""


def no_answer(settings: Settings, reason: str) -> str:
    """The sentence for a cluster none of whose servers answered in time."""
    return (
        f"no Kafka answers at {settings.bootstrap_servers} ({reason}): is it running, and are "
        "MONITOR_BOOTSTRAP_SERVERS and the security settings right?"
    )


def not_resolved(where: str) -> str:
    """The sentence for the address that a broker gives to its clients, where its host has no address here."""
    return (
        f"a broker calls itself {where}, and that name is not known here: change its advertised.listeners, or let this "
        "machine resolve the name"
    )


def no_topic(missing: Sequence[str], where: str) -> str:
    """The sentence for topics that a cluster does not have."""
    return f"no topic {', '.join(missing)} at {where}: `ecg-monitor topics create` makes it"


def printable(text: str) -> str:
    """The text, shortened and without control characters: it may come from a server that is not the broker."""
    return "".join(character for character in text[:200] if character.isprintable())


def _of_certificate(error: ssl.SSLCertVerificationError, where: str, settings: Settings) -> str:
    reason, code = error.verify_message.rstrip("."), error.verify_code
    if code == _EXPIRED:
        return f"the certificate of Kafka at {where}, or one that signed it, has expired: the broker needs a new one"
    if code == _NOT_YET_VALID:
        return f"the certificate of Kafka at {where} is not valid yet: is this machine's clock right?"
    if code in _OTHER_HOST:
        return (
            f"the certificate of Kafka at {where} is for another host ({reason}): name the broker in "
            "MONITOR_BOOTSTRAP_SERVERS, and the broker itself in its advertised listeners, as the certificate does"
        )
    if code in _NOT_TRUSTED:
        trusted = settings.ssl_cafile or "this system's certificates, since MONITOR_SSL_CAFILE is not set"
        return (
            f"the certificate of Kafka at {where} is not signed by anyone in {trusted} ({reason}): put the certificate "
            "of the broker's CA into the file MONITOR_SSL_CAFILE"
        )
    return f"the certificate of Kafka at {where} cannot be accepted: {reason}"


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
