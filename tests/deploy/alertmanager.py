"""A running Alertmanager with the shipped configuration."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from monitor.demo.embedded_broker import free_port, stop
from tests.deploy import rulefiles
from tests.deploy.files import DEPLOY, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = DEPLOY / "alertmanager" / "alertmanager.yml"
PACKAGE = "prometheus-alertmanager"
START_SECONDS = 30.0
ANSWER_SECONDS = 20.0
SEVERITY = {alert.name: alert.fields["labels"]["severity"] for alert in rulefiles.alerts()}


class Alertmanager:
    """A server with the shipped configuration."""

    def __init__(self, url: str) -> None:
        self.url, self._url = url, f"{url}/api/v2/alerts"

    def silences(self, names: set[str], *alerts: dict[str, str]) -> bool:
        """Post alerts as Prometheus does; whether those of these names are silenced by others, and no more of them.

        It learns of alerts and of what silences them one after the other: what it says is taken when it says it twice.
        """
        body = [
            {"labels": alert | {"severity": alert.get("severity", SEVERITY[alert["alertname"]])}} for alert in alerts
        ]
        request = urllib.request.Request(
            self._url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        urllib.request.urlopen(request, timeout=5).close()
        jobs = {alert["job"] for alert in alerts}
        deadline, pause, agreed = time.monotonic() + ANSWER_SECONDS, threading.Event(), 0
        while agreed < 2 and time.monotonic() < deadline:
            pause.wait(0.1)
            found = [one for one in self._ask() if one["labels"]["job"] in jobs]
            silenced = {one["labels"]["alertname"] for one in found if one["status"]["inhibitedBy"]}
            agreed = agreed + 1 if (silenced, len(found)) == (names, len(alerts)) else 0
        return agreed == 2

    def _ask(self) -> list[dict[str, Any]]:
        return self.get("alerts")

    def get(self, page: str) -> list[dict[str, Any]]:
        """One page of its API."""
        with urllib.request.urlopen(f"{self.url}/api/v2/{page}", timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found


@contextmanager
def running(folder: Path) -> Iterator[Alertmanager]:
    url = f"http://127.0.0.1:{free_port()}"
    command = [program("prometheus-alertmanager", PACKAGE), f"--config.file={CONFIG}", f"--storage.path={folder}"]
    command += [f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address="]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for(f"{url}/-/ready", process)
            yield Alertmanager(url)
        finally:
            stop(process, 10)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline, pause = time.monotonic() + START_SECONDS, threading.Event()
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            pause.wait(0.05)
        else:
            return
    raise RuntimeError("Alertmanager did not start")
