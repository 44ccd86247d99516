"""Prometheus with the shipped configuration, run by the tests against their own targets and faster than real time."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import yaml

from monitor.demo.embedded_broker import free_port, stop
from tests.deploy.files import DEPLOY, read_yaml
from tests.deploy.rulefiles import speed_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
START_SECONDS = 30.0
LIMIT_SECONDS = 120.0
LOOK_SECONDS = 0.2


class Pace(NamedTuple):
    """How fast time runs. `factor` divides every duration of the rules; a rule can have its own factor."""

    scrape: str = "1s"
    evaluation: str = "1s"
    factor: int = 1
    special: Mapping[str, int] = {}


class Fired(NamedTuple):
    """An alert that fired at some time."""

    name: str
    job: str
    severity: str


class Prometheus:
    """A server until the block ends. `targets`: each job's ports on this machine."""

    def __init__(self, program: str, folder: Path, targets: Mapping[str, Sequence[int]], pace: Pace) -> None:
        self._command, self._folder = program, folder
        self._url = f"http://127.0.0.1:{free_port()}"
        rules = folder / "rules"
        rules.mkdir()
        speed_up(rules, pace.factor, dict(pace.special))
        config = read_yaml(CONFIG)
        del config["alerting"]
        config["global"] |= {
            "scrape_interval": pace.scrape,
            "scrape_timeout": pace.scrape,
            "evaluation_interval": pace.evaluation,
        }
        (job,) = [found for found in config["scrape_configs"] if found["job_name"] == "ecg-monitor"]
        del job["dns_sd_configs"]
        job["static_configs"] = [
            {"targets": [f"127.0.0.1:{port}" for port in ports], "labels": {"job": name}}
            for name, ports in targets.items()
        ]
        config["scrape_configs"] = [job]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def __enter__(self) -> Self:
        self._log = (self._folder / "prometheus.log").open("wb")
        command = [
            self._command,
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self._url.removeprefix('http://')}",
        ]
        self._began = time.time()
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self.wait_until(self._is_ready, "Prometheus ready", START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._process, 10)
        self._log.close()

    def _is_ready(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"{self._url}/-/ready", timeout=5).status == 200)
        except OSError:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """The response of the API to `/api/v1/PATH`."""
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as page:
            return json.load(page)["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        found: list[dict[str, Any]] = self.ask("query", query=expr)["result"]
        return found

    def query_range(self, expr: str) -> list[dict[str, Any]]:
        """The series of a query over the time that this server has run."""
        times = {"start": f"{self._began:.3f}", "end": f"{time.time():.3f}", "step": "1s"}
        found: list[dict[str, Any]] = self.ask("query_range", query=expr, **times)["result"]
        return found

    def fired(self) -> set[Fired]:
        """Every alert that has fired on this server."""
        found = [one["metric"] for one in self.query('max_over_time(ALERTS{alertstate="firing"}[1d])')]
        return {Fired(one["alertname"], one.get("job", ""), one["severity"]) for one in found}

    def wait_for(self, expr: str) -> None:
        """Wait until a query returns data."""
        self.wait_until(lambda: bool(self.query(expr)), expr)

    def wait_until(self, done: Callable[[], bool], what: str, seconds: float = LIMIT_SECONDS) -> None:
        """Check a condition five times per second."""
        deadline, pause = time.monotonic() + seconds, threading.Event()
        while not done():
            assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
            pause.wait(LOOK_SECONDS)
