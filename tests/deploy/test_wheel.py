"""What is packaged: the metadata agree with each other, and the check of the wheel notices what is missing."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from deploy import wheel_check
from tests.deploy.files import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
METADATA = ("ecg_monitor-0.dist-info/METADATA", "ecg_monitor-0.dist-info/RECORD")


def test_the_extra_of_the_demo_is_the_trainer_the_embedded_broker_and_the_recordings() -> None:
    assert EXTRAS["demo"] == ["ecg-monitor[trainer,embedded,recordings]"]


def test_the_classifiers_begin_with_the_oldest_python_that_is_allowed() -> None:
    versions = [found[1] for line in PROJECT["classifiers"] if (found := re.search(r":: (3\.\d+)$", line))]
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert versions == sorted(versions, key=lambda version: int(version.split(".")[1]))


def test_the_licence_is_stated_once() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert not [line for line in PROJECT["classifiers"] if line.startswith("License")]


def test_a_folder_with_code_is_a_package() -> None:
    folders = {(REPOSITORY / name).parent for name in wheel_check.expected_files()}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_a_wheel_with_every_file_passes() -> None:
    wheel_check.check_content([*wheel_check.expected_files(), *METADATA])
    assert {"monitor/py.typed", "trainer/py.typed", "monitor/api.py"} <= wheel_check.expected_files()


def test_a_file_that_is_missing_is_named() -> None:
    names = wheel_check.expected_files() - {"monitor/py.typed"}
    with pytest.raises(wheel_check.CheckError, match=r"lacks monitor/py\.typed"):
        wheel_check.check_content([*names, *METADATA])


def test_a_file_that_does_not_belong_there_is_named() -> None:
    names = [*wheel_check.expected_files(), "tests/models.py"]
    with pytest.raises(wheel_check.CheckError, match=r"do not belong there: tests/models\.py"):
        wheel_check.check_content(names)


def test_other_pythons_are_found_by_their_names_if_they_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, code in (
        ("python3.98", 0),
        ("python3.99", 0),
        ("python3.97", 1),
        ("python3.10", 0),
        ("python3-config", 0),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {code}\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert list(wheel_check.other_pythons()) == [(3, 99), (3, 98)]


def test_a_command_that_fails_is_an_error_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(wheel_check.CheckError, match="exit code 3:\nno luck"):
        wheel_check.run([sys.executable, "-c", "print('no luck'); exit(3)"], tmp_path)
