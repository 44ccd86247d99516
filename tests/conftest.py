"""What the tests share: a broker, real beats, a trained model, and settings that keep tests apart on one broker."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from monitor.broker import TopicPlan, create_topics
from monitor.demo.embedded_broker import SESSION_TIMEOUT_MS, free_port
from monitor.settings import Settings
from tests.brokers import TestBroker, broker_at_hand, docker_works

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

hypothesis.settings.register_profile("any machine", deadline=None)  # how long a case takes is no verdict on it
hypothesis.settings.load_profile("any machine")

REPOSITORY = Path(__file__).parents[1]
TOPICS = ("beats", "alerts", "scores", "dead_letters", "control", "state")


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    os.environ.setdefault("ECG_TEST_KAFKA_PORT", str(free_port()))
    return str(REPOSITORY / "tests" / "kafka-compose.yml")


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """The best broker at hand, once for all tests."""
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
    """A broker that rebalances and keeps transactions, as the embedded one does not."""
    if not broker.is_kafka:
        reason = "needs Apache Kafka: set KAFKA_HOME or KAFKA_BOOTSTRAP_SERVERS, or start Docker"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(reason)
    return broker


def settings_on(address: str, **overrides: Any) -> Settings:
    """Settings with topics and a group of their own."""
    name = uuid.uuid4().hex[:8]
    topics = {f"{topic}_topic": f"{name}.{topic.replace('_', '-')}" for topic in TOPICS}
    own = {"bootstrap_servers": address, "group_id": name, "session_timeout_ms": SESSION_TIMEOUT_MS, "http_port": 0}
    return Settings(**(own | topics | overrides))


@pytest.fixture
def make_settings(broker: TestBroker) -> Callable[..., Settings]:
    """Settings for the broker at hand, their topics made."""

    def make(partitions: int = 2, **overrides: Any) -> Settings:
        delivery = "exactly-once" if broker.is_kafka else "at-least-once"
        settings = settings_on(broker.address, **({"delivery": delivery} | overrides))
        list(create_topics(settings, TopicPlan(partitions, 1, 1)))
        return settings

    return make


@pytest.fixture(scope="session")
def ecg_data() -> Path:
    """A folder with the official ECG5000 files: ECG_DATA, else ../shared/data, else fetched once into data/."""
    for folder in (os.environ.get("ECG_DATA"), REPOSITORY.parent / "shared" / "data"):
        if folder and (Path(folder) / "ecg5000").is_dir():
            return (Path(folder) / "ecg5000").resolve()
    fetched = REPOSITORY / "data" / "ecg5000"
    subprocess.run([sys.executable, "-m", "trainer", "fetch", "--out", str(fetched)], check=True)
    return fetched


@pytest.fixture(scope="session")
def model_file(ecg_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model, trained as a user would."""
    path = tmp_path_factory.mktemp("model") / "ecg.safetensors"
    command = [sys.executable, "-m", "trainer", "ecg", "--data", str(ecg_data), "--out", str(path)]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    return path
