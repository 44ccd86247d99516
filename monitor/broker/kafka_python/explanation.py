"""Why a connection failed, from the errors of kafka-python."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from kafka.errors import (
    IllegalSaslStateError,
    InvalidReceiveError,
    KafkaConnectionError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)

from monitor.broker.connection.diagnosis import printable

if TYPE_CHECKING:
    from monitor.broker.connection.diagnosis import Diagnosis

_CLOSED = (InvalidReceiveError, KafkaConnectionError, UnsupportedSaslMechanismError)


def explain(diagnosis: Diagnosis, error: Exception, host: str, port: int) -> tuple[str, bool]:
    """A sentence about a connection that failed, and whether another try cannot help."""
    where, cause = f"{host}:{port}", _cause(error)
    if isinstance(cause, SaslAuthenticationFailedError):
        return diagnosis.login_refused(where, _text(cause)), True
    if isinstance(cause, UnsupportedSaslMechanismError):
        return diagnosis.mechanism_refused(where), False
    if isinstance(cause, IllegalSaslStateError):
        return diagnosis.no_login(where), True
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return diagnosis.tls_failed(where, cause), True
    return f"{where}: {_text(cause)}", False


def is_not_resolved(error: Exception) -> bool:
    """Whether the host of an address is not known here."""
    return isinstance(error, KafkaConnectionError) and _text(error).startswith("DNS ")


def is_closed(error: Exception) -> bool:
    """Whether the port closed the connection, so that `Diagnosis.ask_port` may find out why."""
    return isinstance(error, _CLOSED)


def _cause(error: Exception) -> Exception:
    """The error that the client wrapped in its own, where it wrapped one."""
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error.__context__
    return inner if isinstance(error, KafkaConnectionError) and isinstance(inner, ssl.SSLError) else error


def _text(error: Exception) -> str:
    return printable(str(error.args[0] if error.args else error).removeprefix(f"{type(error).__name__}: "))
