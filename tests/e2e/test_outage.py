"""The daemon when its broker stops and does not come back."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from monitor.broker import TopicPlan, create_topics
from monitor.demo.embedded_broker import embedded_broker
from tests.conftest import settings_on
from tests.e2e.daemon import LIMIT_SECONDS, Daemon


@pytest.mark.slow
def test_an_outage_is_logged_at_once_and_ends_the_daemon_after_the_limit(model_file, tmp_path):
    with ExitStack() as broker:
        address = broker.enter_context(embedded_broker(tmp_path / "broker.log"))
        settings = settings_on(address, broker_timeout_seconds=12, delivery="at-least-once")
        list(create_topics(settings, TopicPlan(2, 1, 1)))
        with Daemon(settings, model_file, tmp_path / "log") as daemon:
            daemon.wait_until(lambda: daemon.get("/readyz")[0] == 200, "ready")
            broker.close()
            daemon.wait_until(lambda: daemon.get("/readyz")[0] == 503, "unready")
            assert daemon.get("/healthz")[0] == 200
            assert daemon.metric("broker_up") == 0
            assert daemon.process.wait(LIMIT_SECONDS) == 1
    assert "error: the broker was lost for" in daemon.log()
    assert "Traceback" not in daemon.log()
    assert "answers again" not in daemon.log()
