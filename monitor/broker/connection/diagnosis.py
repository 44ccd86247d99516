"""Explains in one sentence why Kafka cannot be reached, and what to change."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka.errors import (
    IllegalSaslStateError,
    InvalidReceiveError,
    KafkaConnectionError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)

from monitor.broker.connection.probe import ask

if TYPE_CHECKING:
    from monitor.settings import Settings

_EXPIRED, _NOT_YET_VALID, _NOT_TRUSTED = 10, 9, {2, 18, 19, 20, 21}  # OpenSSL's X509_V_ERR_*
_OTHER_HOST = {62, 64}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Explains failed connections of clients with these settings."""

    settings: Settings

    def explain(self, error: Exception, host: str, port: int) -> tuple[str, bool]:
        """A sentence about a connection that failed, and whether another try cannot help."""
        settings, where, cause = self.settings, f"{host}:{port}", _cause(error)
        if isinstance(cause, SaslAuthenticationFailedError):
            return (
                f"Kafka at {where} refuses the login of user {settings.sasl_username!r} with {settings.sasl_mechanism} "
                f"({_short(cause)}): check MONITOR_SASL_USERNAME and the password, and that the broker knows this user "
                "for this mechanism"
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

    def ask_port(self, error: Exception, host: str, port: int) -> str:
        """Why a port closed the connection: the probe asks whether it wants TLS or a login. Empty if still unknown."""
        settings, where, protocol = self.settings, f"{host}:{port}", self.settings.security_protocol
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


def _cause(error: Exception) -> Exception:
    """The error that the client wrapped in its own, where it wrapped one."""
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error.__context__
    return inner if isinstance(error, KafkaConnectionError) and isinstance(inner, ssl.SSLError) else error


def _short(error: Exception) -> str:
    """The text of the error, shortened and printable: it may come from a server that is not the broker."""
    text = str(error.args[0] if error.args else error).removeprefix(f"{type(error).__name__}: ")
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
