"""How bytes come from a broker's connection.

For correctness: what a broker sends before it closes a connection is handed on. kafka-python 3.0.12 drops bytes that it
reads together with the end of a connection, so that the broker's reason is lost about every second time.

For speed: everything else here. kafka-python 3.0.12 reads 4096 bytes at a time: a fetch of 4 MB is a thousand calls,
each of which asks for the interpreter's lock. It copies a large answer three times.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any

from kafka.errors import KafkaConnectionError
from kafka.protocol.frame import KafkaBytes

from monitor.broker.kafka_python import known_versions

READ_BYTES = 1024 * 1024
LARGE_BYTES = 64 * 1024
CLIENT_READ = KafkaBytes.read  # as the client ships it


def patch_transport(transport: Any) -> None:
    """Let `receive` read for this connection."""
    known_versions.require_known()
    transport._sock_recv = partial(receive, transport)


def receive(transport: Any) -> tuple[memoryview, Exception | None]:
    """Everything that a connection has brought, plain or TLS; or the error that ended it, once nothing is left.

    Where bytes come together with the end, only the bytes are returned: the next call meets the end again.
    """
    pieces: list[bytes] = []
    error = None
    while not error:
        try:
            if not pieces and (space := _free_space(transport)) is not None:
                count = transport._sock.recv_into(space)
                _advance(transport, count)
            else:
                pieces.append(transport._sock.recv(READ_BYTES))
                count = len(pieces[-1])
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            break
        except (OSError, ValueError, AttributeError, MemoryError) as failure:  # it broke, or was closed meanwhile
            error = KafkaConnectionError(failure)
        else:
            error = None if count else KafkaConnectionError("socket disconnected")
    data = b"".join(pieces) if len(pieces) > 1 else (pieces or [b""])[0]
    return memoryview(data), None if data else error


def patch_frames() -> None:
    """For every client of this process: large answers are read without a copy."""
    known_versions.require_known()
    KafkaBytes.read = read


def read(frame: Any, size: int | None = None) -> bytes | memoryview:
    """Replaces `KafkaBytes.read`: the next `size` bytes of an answer, or all that are left.

    Of a large answer, which only a fetch is, the rest comes as a view. kafka-python 3.0.12 copies it twice here, and
    once more when it is cut up.
    """
    start, end = frame._idx, len(frame)
    frame._idx = end if size is None else min(start + size, end)
    rest = memoryview(frame)[start : frame._idx]
    return rest if size is None and len(rest) > LARGE_BYTES else bytes(rest)


def _free_space(transport: Any) -> memoryview | None:
    """Where a connection's next bytes belong: the rest of a large answer but for its last byte; None for others.

    kafka-python 3.0.12 reads these bytes, joins them and copies them there, and holds the interpreter's lock for the
    last two. The last byte goes through the client, which notices by it that the answer is complete.
    """
    frame = getattr(getattr(transport._protocol, "parser", None), "_rbuffer", None)
    if frame is None or KafkaBytes.read is not read or len(frame) - frame.tell() <= LARGE_BYTES:
        return None
    return memoryview(frame)[frame.tell() : -1]


def _advance(transport: Any, count: int) -> None:
    """Tell the client that `count` bytes lie in that space now."""
    frame = transport._protocol.parser._rbuffer
    frame.seek(frame.tell() + count)
