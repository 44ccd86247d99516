"""What the probes answer, and that nobody can hold the server up."""

from __future__ import annotations

import socket
import struct
import urllib.error
import urllib.request

import orjson
import pytest
from prometheus_client import CollectorRegistry

from monitor.errors import RefusedError
from monitor.health import HUNG_SECONDS, STUCK_SECONDS, Health, serve


def healthy(**changes) -> Health:
    health = Health(started=True, joined=True, turned=0.0)
    for name, value in changes.items():
        setattr(health, name, value)
    return health


def test_all_is_well():
    assert healthy().live(1.0) == healthy().ready(1.0) == {}


def test_a_loop_that_hangs_is_not_alive():
    assert "loop" in healthy().live(HUNG_SECONDS + 1)


def test_one_partition_that_stands_still_among_healthy_ones_is_not_alive():
    health = healthy()
    for now in (0.0, STUCK_SECONDS + 1):
        health.note_partitions({0: 5, 1: 5, 2: 0}, read={0}, now=now)
        health.turned = now
    assert list(health.live(STUCK_SECONDS + 1)) == ["partition 1"]


def test_a_partition_that_left_is_no_longer_looked_at():
    health = healthy()
    health.note_partitions({0: 5}, read=set(), now=0.0)
    health.note_partitions({}, read=set(), now=1.0)
    assert health.live(STUCK_SECONDS + 2) == {}


def test_a_broker_outage_leaves_the_monitor_alive_but_not_ready():
    health = healthy(broker_failure="away")
    for now in range(0, 600, 50):
        health.note_partitions({0: 5}, read=set(), now=now)
        health.turned = now
    assert health.live(599) == {}
    assert health.ready(599) == {"broker": "away"}


@pytest.mark.parametrize(("changes", "part"), [({"started": False}, "start"), ({"joined": False}, "group")])
def test_a_monitor_that_is_not_ready_says_which_part_is_not(changes, part):
    assert list(healthy(**changes).ready(1.0)) == [part]


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_pages_answer():
    health = Health(joined=True)
    with serve("127.0.0.1", 0, CollectorRegistry(), health) as port:
        assert get(port, "/healthz") == (200, '{"ok":true,"wrong":{}}\n')
        status, body = get(port, "/readyz")
        assert (status, list(orjson.loads(body)["wrong"])) == (503, ["start"])
        assert get(port, "/metrics")[0] == 200
        assert get(port, "/metrics?name[]=x")[0] == 200
        assert get(port, "/")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_only_reading_is_allowed(method):
    with serve("127.0.0.1", 0, CollectorRegistry(), Health()) as port:
        assert get(port, "/healthz", method)[0] == 501


def test_a_client_that_says_nothing_holds_up_neither_the_others_nor_the_end():
    with (
        serve("127.0.0.1", 0, CollectorRegistry(), Health()) as port,
        socket.create_connection(("127.0.0.1", port)) as silent,
    ):
        silent.sendall(b"GET /hea")
        assert get(port, "/healthz")[0] == 200


def test_a_client_that_hangs_up_leaves_no_traceback(capsys):
    hang_up = struct.pack("ii", 1, 0)
    with serve("127.0.0.1", 0, CollectorRegistry(), Health()) as port:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hang_up)
        assert get(port, "/healthz")[0] == 200
    assert capsys.readouterr().err == ""


def test_a_port_in_use_is_refused_with_the_setting_that_changes_it():
    with (
        serve("127.0.0.1", 0, CollectorRegistry(), Health()) as port,
        pytest.raises(RefusedError, match="MONITOR_HTTP_PORT"),
        serve("127.0.0.1", port, CollectorRegistry(), Health()),
    ):
        pass
