"""Returns the last bytes of a broker before the end of its connection. For correctness.

kafka-python 3.0.12 drops bytes that it reads together with the end of a connection, so the broker's reason is lost in
about half of the cases.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any

from kafka.errors import KafkaConnectionError

from monitor.broker.kafka_python import known_versions
from monitor.broker.kafka_python.io_thread import ends_the_process_on_a_defect

READ_BYTES = 64 * 1024


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
        try:
            pieces.append(transport._sock.recv(READ_BYTES))
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            break
        except (OSError, ValueError, AttributeError, MemoryError) as failure:  # it broke, or was closed meanwhile
            error = KafkaConnectionError(failure.with_traceback(None))  # which would name our code, as of a defect
        else:
            error = None if pieces[-1] else KafkaConnectionError("socket disconnected")
    data = b"".join(pieces)
    return memoryview(data), None if data else error
