"""The images are pinned, have no build tools, do not run as root, and stop the daemon by its signal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from monitor.settings import Settings
from monitor.telemetry.health import HUNG_SECONDS, Health
from monitor.telemetry.server import serve
from tests.deploy.files import DOCKERFILE, REPOSITORY, instructions, lineage, services

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = ("monitor", "trainer")
each_image = pytest.mark.parametrize("image", IMAGES)


def last(image: str, word: str) -> str:
    """The last instruction of this kind in an image, which is the one that applies."""
    return [found.rest for found in lineage(image) if found.word == word][-1]


def environment(image: str) -> Iterator[str]:
    for found in lineage(image):
        if found.word == "ENV":
            yield from found.rest.split()


def hadolint(text: str) -> subprocess.CompletedProcess[str]:
    """The messages of hadolint about a Dockerfile. Its wheel installs it beside the interpreter."""
    command = [str(Path(sys.executable).parent / "hadolint"), "--no-color", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def test_hadolint_accepts_the_dockerfile() -> None:
    found = hadolint(DOCKERFILE.read_text(encoding="utf-8"))
    assert (found.returncode, found.stdout) == (0, "")


def test_hadolint_would_notice_a_package_without_version() -> None:
    assert hadolint("FROM debian:13\nRUN apt-get install -y gcc\n").returncode == 1


@pytest.mark.parametrize("variant", ["cpu", "cuda"])
def test_each_variant_is_a_stage_with_its_source_of_torch(variant: str) -> None:
    own = [found.rest for found in instructions() if found.stage == f"torch-{variant}"]
    assert own[0].startswith("base ")
    assert any("download.pytorch.org/whl/cpu" in line for line in own) is (variant == "cpu")
    assert any("EXTRAS=fast,gpu" in line for line in own) is (variant == "cuda")


def test_no_torch_comes_from_anywhere_else() -> None:
    assert not any("index-url" in found.rest for found in instructions())


def test_every_foreign_base_is_pinned_to_one_slim_python() -> None:
    stages = {found.stage for found in instructions()}
    foreign = {found.rest.split()[0] for found in instructions() if found.word == "FROM"} - stages
    assert len(foreign) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", foreign.pop())


def test_the_daemon_is_the_default_target() -> None:
    assert instructions()[-1].stage == "monitor"


@each_image
def test_an_image_runs_as_a_numbered_user_without_rights(image: str) -> None:
    assert re.fullmatch(r"[1-9]\d{4}:[1-9]\d{4}", last(image, "USER"))


@each_image
def test_an_image_starts_its_command_without_a_shell(image: str) -> None:
    assert json.loads(last(image, "ENTRYPOINT")) == [f"ecg-{image}"]


@each_image
def test_an_image_is_stopped_by_sigterm(image: str) -> None:
    assert last(image, "STOPSIGNAL") == "SIGTERM"


@each_image
def test_an_image_logs_at_once_and_computes_in_one_thread(image: str) -> None:
    assert {"PYTHONUNBUFFERED=1", "OMP_NUM_THREADS=1"} <= set(environment(image))


def labels(image: str) -> dict[str, str]:
    """The image's labels by their names without `org.opencontainers.image.`."""
    pairs = " ".join(found.rest for found in lineage(image) if found.word == "LABEL")
    return dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', pairs))


@each_image
def test_an_image_has_its_labels(image: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = labels(image)
    assert found["title"] == f"ecg-{image}"
    assert (found["version"], found["licenses"]) == (project["version"], project["license"])
    assert "Not a medical device." in found["description"]
    assert found["base.name"].endswith(next(one.rest.split()[0] for one in instructions() if one.stage == "base"))
    assert (found["revision"], found["created"]) == ("${REVISION}", "${CREATED}")


@each_image
def test_an_image_takes_the_environment_alone_from_the_build(image: str) -> None:
    copied = [found.rest for found in lineage(image) if found.word in {"COPY", "ADD"}]
    assert copied == [f"--from={image}-build /opt/venv /opt/venv"]
    assert not any("pip " in found.rest or "apt" in found.rest for found in lineage(image) if found.word == "RUN")


def test_every_installation_is_held_to_the_constraints() -> None:
    pins = [found for found in lineage("core") if "PIP_CONSTRAINT=/src/constraints.txt" in found.rest]
    assert len(pins) == 1
    for found in instructions():
        if "pip --python" in found.rest and "--no-deps" not in found.rest:
            assert "-c constraints.txt" in found.rest


def test_the_daemons_image_has_the_core_and_the_faster_kafka_client_alone() -> None:
    extras = {name for found in lineage("monitor-build") for name in re.findall(r"\.\[(.+?)\]", found.rest)}
    assert extras == {"${EXTRAS}"}
    assert {"EXTRAS=fast"} == {word for word in environment("monitor-build") if word.startswith("EXTRAS")}
    assert any(".[trainer]" in found.rest for found in lineage("trainer-build"))


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    rules = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [rule for rule in rules if not rule.startswith("#")]
    assert rules[0] == "*"
    copied = {
        part.rstrip("/")
        for found in instructions()
        if found.word == "COPY" and "--from" not in found.rest
        for part in found.rest.split()[:-1]
    }
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied


def test_the_compose_file_builds_existing_targets() -> None:
    builds = [service["build"] for service in services().values() if "build" in service]
    assert {build["target"] for build in builds} == set(IMAGES) <= {found.stage for found in instructions()}
    assert all((REPOSITORY / build["context"] / build["dockerfile"]).is_file() for build in builds)


def health_check(environment: dict[str, str]) -> int:
    """The exit code of the image's own check."""
    words = json.loads(last("monitor", "HEALTHCHECK").partition("CMD ")[2])
    command = [sys.executable, *words[1:]]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=30).returncode


@pytest.mark.parametrize(("ago_seconds", "code"), [(0, 0), (2 * HUNG_SECONDS, 1)])
def test_the_health_check_has_the_result_of_healthz(ago_seconds: float, code: int) -> None:
    state = Health(last_step=time.monotonic() - ago_seconds)
    with serve("127.0.0.1", 0, CollectorRegistry(), state) as port:
        # and no proxy is asked for 127.0.0.1
        assert health_check({"MONITOR_HTTP_PORT": str(port), "http_proxy": "http://127.0.0.1:1"}) == code


def test_the_health_check_fails_where_nothing_listens() -> None:
    assert health_check({"MONITOR_HTTP_PORT": "1"}) == 1


def test_the_health_check_asks_where_the_daemon_listens_by_default() -> None:
    port = str(Settings.model_fields["http_port"].default)
    assert f"'MONITOR_HTTP_PORT', '{port}'" in last("monitor", "HEALTHCHECK")
    assert last("monitor", "EXPOSE") == port
