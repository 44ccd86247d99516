"""Reads bytes from the connection to a broker.

For correctness: bytes that a broker sends before it closes a connection are returned. kafka-python 3.0.12 drops bytes
that it reads together with the end of a connection, so the broker's reason is lost in about half of the cases.

For speed: everything else here. kafka-python 3.0.12 reads 4096 bytes at a time: a fetch of 4 MB takes a thousand calls,
and each of them waits for the interpreter's lock. It copies a large answer three times.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any

from kafka.errors import KafkaConnectionError
from kafka.protocol.frame import KafkaBytes

from monitor.broker.io_thread import ends_the_process_on_a_defect
from monitor.broker.kafka_python import known_versions

READ_BYTES = 1024 * 1024
LARGE_BYTES = 64 * 1024
CLIENT_READ = KafkaBytes.read  # as the client ships it


def patch_transport(transport: Any) -> None:
    """Let `receive` read for this connection."""
    known_versions.require_known()
    transport._sock_recv = partial(receive, transport)


@ends_the_process_on_a_defect
def receive(transport: Any) -> tuple[memoryview, Exception | None]:
    """Everything that a connection has brought, plain or TLS; or the error that ended it, once nothing is left.

    Where bytes come together with the end, only the bytes are returned: the next call meets the end again.
    """
    pieces: list[bytes] = []
    error = None
    while not error:
        frame = None if pieces else _large_frame(transport)
        try:
            count = _read(transport, frame, pieces)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            break
        except (OSError, ValueError, AttributeError, MemoryError) as failure:  # it broke, or was closed meanwhile
            error = KafkaConnectionError(failure.with_traceback(None))  # which would name our code, as of a defect
        else:
            error = None if count else KafkaConnectionError("socket disconnected")
            if frame is not None:
                frame.seek(frame.tell() + count)  # the client continues behind the bytes that lie there now
    data = b"".join(pieces) if len(pieces) > 1 else (pieces or [b""])[0]
    return memoryview(data), None if data else error


def _read(transport: Any, frame: Any, pieces: list[bytes]) -> int:
    """Read once, into the free space of a frame, else into a new piece; the number of bytes."""
    if frame is not None:
        return int(transport._sock.recv_into(memoryview(frame)[frame.tell() : -1]))
    pieces.append(transport._sock.recv(READ_BYTES))
    return len(pieces[-1])


def patch_frames() -> None:
    """For every client of this process: large answers are read without a copy."""
    known_versions.require_known()
    KafkaBytes.read = read


@ends_the_process_on_a_defect
def read(frame: Any, size: int | None = None) -> bytes | memoryview:
    """Replaces `KafkaBytes.read`: the next `size` bytes of an answer, or all that are left.

    Of a large answer, which only a fetch is, the rest comes as a view. kafka-python 3.0.12 copies it twice here, and
    once more when it is cut up.
    """
    start, end = frame._idx, len(frame)
    frame._idx = end if size is None else min(start + size, end)
    rest = memoryview(frame)[start : frame._idx]
    return rest if size is None and len(rest) > LARGE_BYTES else bytes(rest)


def _large_frame(transport: Any) -> Any:
    """The large answer that a connection's next bytes belong to, all but its last byte; None for others.

    kafka-python 3.0.12 reads these bytes, joins them and copies them there, and holds the interpreter's lock for the
    last two. The last byte goes through the client, which notices by it that the answer is complete.
    """
    frame = getattr(getattr(transport._protocol, "parser", None), "_rbuffer", None)
    if frame is None or KafkaBytes.read is not read or len(frame) - frame.tell() <= LARGE_BYTES:
        return None
    return frame
