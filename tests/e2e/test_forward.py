"""`ecg-monitor forward` on Apache Kafka, with receivers that stop and start, and with Debian's Alertmanager."""

from __future__ import annotations

import itertools
import json
import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from kafka import KafkaProducer

from monitor.demo.embedded_broker import free_port
from tests.conftest import CLIENTS
from tests.deploy.alertmanager import running
from tests.e2e.forwarding import ForwardProcess, put
from tests.forward.pieces import Received, alert, receiver

each_client = pytest.mark.parametrize("client", CLIENTS)
FAST = {"MONITOR_FORWARD_RESEND_SECONDS": "1"}


def now(**ago):
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


@pytest.mark.usefixtures("kafka")
@each_client
def test_a_webhook_gets_each_event_through_its_own_restarts_and_ours(make_settings, tmp_path, client):
    settings, received, port = make_settings(kafka_client=client), Received(), free_port()
    url, numbers = f"http://127.0.0.1:{port}/hook", itertools.count()

    def publish(count):
        put(settings, *(alert("opened", next(numbers)) for _ in range(count)))

    def ids():
        return {orjson.loads(body)["id"] for _, _, body in received.requests}

    def start():
        return ForwardProcess(settings, "webhook", url, tmp_path / "log")

    publish(5)
    with start() as one:  # there is no receiver yet
        one.wait_until(lambda: "receiver" in one.get("/readyz")[1], "aware that nothing listens")
        with receiver(received, port):
            one.wait_until(lambda: len(ids()) == 5, "done with the first alerts")
        publish(5)
        one.process.kill()
    publish(5)
    with start() as one, receiver(received, port):
        one.wait_until(lambda: len(ids()) >= 12, "sending")
        received.answers = [(503, {})] * 2
        publish(5)
        one.wait_until(lambda: len(ids()) == 20, "done with all alerts")
        one.wait_until(lambda: one.metric("forward_lag_records") == 0 == one.metric("forward_waiting_seconds"), "idle")
        assert one.get("/readyz")[0] == one.get("/healthz")[0] == 200
        assert one.terminate() == 0
    before = len(received.requests)
    with start() as one, receiver(received, port):
        one.wait_until(lambda: one.get("/readyz")[0] == 200, "ready")
        publish(1)
        one.wait_until(lambda: len(ids()) == 21, "sending")
    assert len(received.requests) == before + 1


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    with running(tmp_path_factory.mktemp("alertmanager")) as found:
        yield found


class Shown:
    """What Alertmanager shows of the alarms of one test."""

    def __init__(self, server, marker):
        self._server, self._marker = server, marker

    def alarms(self):
        found = [one for one in self._server.get("alerts") if one["labels"].get("source") == self._marker]
        return {one["labels"]["alarm"][-1] + one["labels"]["severity"]: one["status"]["state"] for one in found}

    def groups(self):
        found = self._server.get("alerts/groups")
        ours = [
            {one["labels"]["alarm"] for one in group["alerts"] if one["labels"].get("source") == self._marker}
            for group in found
        ]
        return sorted(len(alarms) for alarms in ours if alarms)

    def silence(self):
        matcher = {"name": "source", "value": self._marker, "isRegex": False, "isEqual": True}
        body = {"matchers": [matcher], "startsAt": now(), "endsAt": now(hours=-1), "createdBy": "x", "comment": "y"}
        url, headers = f"{self._server.url}/api/v2/silences", {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=5).close()


@pytest.mark.usefixtures("kafka")
@each_client
def test_alertmanager_shows_groups_silences_and_resolves_alarms(make_settings, tmp_path, alertmanager, client):
    settings, source = make_settings(kafka_client=client), f"bed of {client}"
    shown = Shown(alertmanager, source)

    def happens(*events):
        put(settings, *(alert(n, i, source=source, opened_at=now(minutes=5), **more) for n, i, more in events))

    def forwarding():
        told = FAST | {"MONITOR_FORWARD_PATIENT_DATA": "true"}
        return ForwardProcess(settings, "alertmanager", alertmanager.url, tmp_path / "log", **told)

    happens(("opened", 1, {}), ("opened", 2, {}))
    with forwarding() as one:
        one.wait_until(lambda: shown.alarms() == {"1medium": "active", "2medium": "active"}, "showing both")
        one.wait_until(lambda: shown.groups() == [1, 1], "showing each as a group: none waits for the other")
        happens(("updated", 2, {"priority": "high"}))
        one.wait_until(lambda: shown.alarms() == {"1medium": "active", "2high": "active"}, "showing the rise")
        one.process.kill()
    with forwarding() as one:
        one.wait_until(lambda: one.metric("forward_repeats_total") > 1, "repeating what is on")
        assert one.metric("forward_open_alarms") == 2
        shown.silence()
        one.wait_until(lambda: set(shown.alarms().values()) == {"suppressed"}, "silenced")
        happens(("closed", 1, {"closed_at": now()}))
        one.wait_until(lambda: shown.alarms() == {"2high": "suppressed"}, "resolving the first")
        happens(("closed", 2, {"closed_at": now(), "priority": "high", "cause": "silent"}))
        one.wait_until(lambda: shown.alarms() == {}, "resolving the second")
        assert one.terminate() == 0


@pytest.mark.usefixtures("kafka")
def test_alerts_of_an_open_transaction_are_not_sent(make_settings, tmp_path):
    settings, received = make_settings(partitions=1), Received()
    with ExitStack() as stack:
        port = stack.enter_context(receiver(received))
        producer = KafkaProducer(bootstrap_servers=settings.bootstrap_servers, transactional_id=settings.group_id)
        stack.callback(producer.close)
        producer.init_transactions()
        for number in (1, 2):
            producer.begin_transaction()
            producer.send(settings.alerts_topic, alert("opened", number)).get(timeout=30)
            (producer.abort_transaction, producer.commit_transaction)[number - 1]()
        url = f"http://127.0.0.1:{port}"
        one = stack.enter_context(ForwardProcess(settings, "webhook", url, tmp_path / "log"))
        one.wait_until(lambda: received.requests, "sending")
        one.wait_until(lambda: one.metric("forward_lag_records") == 0, "done")
    assert [orjson.loads(body)["id"][-1] for _, _, body in received.requests] == ["2"]
