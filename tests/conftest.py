"""What the tests share: a broker, real beats, a trained model, and settings that keep tests apart on one broker.

The markers are explained in pyproject.toml. A test that uses the fixture `kafka` has the marker `kafka`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from filelock import FileLock

from monitor.broker import TopicPlan, create_topics
from monitor.demo.embedded_broker import SESSION_TIMEOUT_MS, free_port
from monitor.settings import Settings
from tests.brokers import TestBroker, broker_at_hand, docker_works

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# No deadline, since a slow machine is not a failure. `make test` uses "quick", `make test-all` the default.
hypothesis.settings.register_profile("complete", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=40)
hypothesis.settings.load_profile("complete")

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker and its daemons have one core: torch's threads would fight for two
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).parents[1]
# The embedded broker answers a join after half a session timeout, so that its members have a short one.
EMBEDDED_SESSION_TIMEOUT_MS = 2000
CLIENTS = ("confluent", "kafka-python")
TOPICS = ("beats", "alerts", "scores", "dead_letters", "control", "state", "profiles")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the fixture `kafka` as `kafka` and `slow`, and the chaos test as `alone`.

    Groups of Apache Kafka take seconds to rebalance: together these tests take longer than all others. In `make test`
    the contract of a broker runs on the broker in memory. The chaos test is `alone`: its storm has 300 seconds, and
    beside other tests on two busy cores they were not enough.
    """
    for item in items:
        if item.path == REPOSITORY / "tests" / "chaos" / "test_chaos.py":
            item.add_marker("alone")
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")
            item.add_marker("slow")


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    os.environ.setdefault("ECG_TEST_KAFKA_PORT", str(free_port()))
    return str(REPOSITORY / "tests" / "kafka-compose.yml")


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """The best broker that this machine has, started once for all tests."""
    if address := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield TestBroker(address, is_kafka=True)
    elif docker_works():
        request.getfixturevalue("docker_services")
        yield TestBroker(f"127.0.0.1:{os.environ['ECG_TEST_KAFKA_PORT']}", is_kafka=True)
    else:
        with broker_at_hand(tmp_path_factory.mktemp("broker")) as found:
            yield found


@pytest.fixture
def kafka(broker: TestBroker) -> TestBroker:
    """Apache Kafka: it rebalances groups and keeps transactions, which the embedded broker does not.

    Skips the test without it; with REQUIRE_KAFKA=1 the test fails instead.
    """
    if not broker.is_kafka:
        reason = "needs Apache Kafka: set KAFKA_HOME or KAFKA_BOOTSTRAP_SERVERS, or start Docker"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(reason)
    return broker


def settings_on(address: str, **overrides: Any) -> Settings:
    """Settings with new topics and a new group, so that tests on one broker do not meet."""
    name = uuid.uuid4().hex[:8]
    topics = {f"{topic}_topic": f"{name}.{topic.replace('_', '-')}" for topic in TOPICS}
    own = {"bootstrap_servers": address, "group_id": name, "session_timeout_ms": SESSION_TIMEOUT_MS, "http_port": 0}
    return Settings(**(own | topics | overrides))


@pytest.fixture
def make_settings(broker: TestBroker) -> Callable[..., Settings]:
    """Makes settings for the broker of this run, and creates their topics."""

    def make(partitions: int = 2, **overrides: Any) -> Settings:
        own: dict[str, Any] = {"delivery": "exactly-once"}
        if not broker.is_kafka:
            own = {"delivery": "at-least-once", "session_timeout_ms": EMBEDDED_SESSION_TIMEOUT_MS}
            own |= {"kafka_client": "kafka-python"}
        settings = settings_on(broker.address, **(own | overrides))
        list(create_topics(settings, TopicPlan(partitions, 1, 1)))
        return settings

    return make


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run that all workers of pytest-xdist have in common: what takes long is made there once."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def ecg_data(shared_folder: Path) -> Path:
    """A folder with the official ECG5000 files: ECG_DATA, else ../shared/data, else fetched once into data/."""
    for folder in (os.environ.get("ECG_DATA"), REPOSITORY.parent / "shared" / "data"):
        if folder and (Path(folder) / "ecg5000").is_dir():
            return (Path(folder) / "ecg5000").resolve()
    fetched = REPOSITORY / "data" / "ecg5000"
    with FileLock(shared_folder / "ecg5000.lock"):  # the second worker finds the files there
        subprocess.run([sys.executable, "-m", "trainer", "fetch", "--out", str(fetched)], check=True)
    return fetched


@pytest.fixture(scope="session")
def model_file(ecg_data: Path, shared_folder: Path) -> Path:
    """A model of one epoch, which takes a third of the time of the default one. Its AUC on the test beats is 0.995."""
    return _trained(ecg_data, shared_folder / "quick.safetensors", "--quick")


@pytest.fixture(scope="session")
def mitdb() -> Path:
    """A folder with recordings of MIT-BIH, beside those of ECG5000. Skips the test without it: they are not fetched."""
    for folder in (os.environ.get("ECG_DATA"), REPOSITORY.parent / "shared" / "data"):
        if folder and (Path(folder) / "mitdb").is_dir():
            return (Path(folder) / "mitdb").resolve()
    pytest.skip("needs recordings of MIT-BIH: ECG_DATA names a folder with the folder mitdb in it")


@pytest.fixture(scope="session")
def recordings_model_file(mitdb: Path, shared_folder: Path) -> Path:
    """A model of beats around R, so that sources have profiles."""
    return _trained(mitdb, shared_folder / "recordings.safetensors", "--quick")


@pytest.fixture(scope="session")
def default_model_file(ecg_data: Path, shared_folder: Path) -> Path:
    """The model that is trained without any option."""
    return _trained(ecg_data, shared_folder / "default.safetensors")


def _trained(data: Path, path: Path, *options: str) -> Path:
    """A model that is trained as a user would, by the worker that needs it first."""
    command = [sys.executable, "-m", "trainer", "ecg", "--data", str(data), "--out", str(path), *options]
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            subprocess.run(command, check=True, cwd=REPOSITORY)
    return path
