"""Asks a port whether it uses TLS and whether it wants a login.

`diagnosis` uses the result to explain a connection that failed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass

SECONDS = 2.0
MIN_ANSWER_BYTES, MAX_ANSWER_BYTES = 10, 64 * 1024
_HANDSHAKE = struct.pack(">hhihh1s", 17, 1, 0, -1, 1, b"?")  # SaslHandshake v1, no client id, mechanism "?"
_NOT_KAFKA = (ValueError, struct.error)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a port uses. `mechanisms` is empty when no login is needed, or when a TLS port did not list any."""

    is_tls: bool
    mechanisms: tuple[str, ...]

    @property
    def protocol(self) -> str:
        return f"{'SASL_' if self.mechanisms else ''}{'SSL' if self.is_tls else 'PLAINTEXT'}"


def ask(host: str, port: int) -> Spoken | None:
    """Ask a port for its login mechanisms, without TLS and with it; None where neither gets an answer.

    Nothing secret is sent, so the port's certificate is not checked.
    """
    with contextlib.suppress(OSError, *_NOT_KAFKA), socket.create_connection((host, port), SECONDS) as plain:
        return Spoken(is_tls=False, mechanisms=_mechanisms(plain))
    with contextlib.suppress(OSError, ValueError), socket.create_connection((host, port), SECONDS) as bare:
        try:
            with _unchecked_context().wrap_socket(bare, server_hostname=host) as secret:
                return Spoken(is_tls=True, mechanisms=_mechanisms(secret))
        except ssl.SSLEOFError:
            return None
        except (ssl.SSLError, *_NOT_KAFKA):  # it speaks TLS, and refuses or asks for a certificate first
            return Spoken(is_tls=True, mechanisms=())
    return None


def _unchecked_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _mechanisms(connection: socket.socket) -> tuple[str, ...]:
    """Raises ValueError for an answer that is not Kafka's, OSError where none comes."""
    connection.sendall(struct.pack(">i", len(_HANDSHAKE)) + _HANDSHAKE)
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    if not MIN_ANSWER_BYTES <= size <= MAX_ANSWER_BYTES:
        raise ValueError(size)
    answer = _exactly(connection, size)
    _, _, count = struct.unpack_from(">ihi", answer)
    names, at = [], MIN_ANSWER_BYTES
    for _ in range(min(count, 16)):
        (length,) = struct.unpack_from(">h", answer, at)
        names.append(answer[at + 2 : at + 2 + length].decode("ascii"))
        at += 2 + length
    return tuple(sorted(name for name in names if name.replace("-", "").replace("_", "").isalnum()))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data
