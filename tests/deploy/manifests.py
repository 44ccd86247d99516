"""Builds the objects of deploy/kubernetes with kustomize, for the tests."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.files import DEPLOY, REPOSITORY, program

KUBERNETES = DEPLOY / "kubernetes"
SHIPPED = ("base", "overlays/cpu", "overlays/gpu", "overlays/keda", "overlays/forward")
FORWARDER = "ecg-forwarder"
OWN = "your own"  # the one that docs/deployment.md shows
ALL = (*SHIPPED, OWN)
JSON = dict[str, Any]


@cache
def build(name: str) -> tuple[JSON, ...]:
    """All objects of one kustomization, as `kubectl apply -k` would send them."""
    if name != OWN:
        return _kustomize(KUBERNETES / name)
    with tempfile.TemporaryDirectory() as folder:
        return _kustomize(_write_own(Path(folder)))


def objects(name: str, kind: str) -> list[JSON]:
    return [found for found in build(name) if found["kind"] == kind]


def the(name: str, kind: str) -> JSON:
    """The only object of its kind, but for what belongs to the forwarder."""
    (found,) = [one for one in objects(name, kind) if one["metadata"]["name"] != FORWARDER]
    return found


def pods(name: str) -> dict[str, JSON]:
    """Specifications of the pods, by the kind of the object that creates them."""
    return {
        kind: found["spec"]["template"]["spec"]
        for kind in ("StatefulSet", "Job", "Deployment")
        for found in objects(name, kind)
    }


def container(pod: JSON) -> JSON:
    (found,) = pod["containers"]
    return dict(found)


def environment(name: str, pod: JSON) -> dict[str, str]:
    """The variables of a pod. A value that only the cluster knows is replaced by its key."""
    found: dict[str, str] = {}
    for source in container(pod)["envFrom"]:
        (config,) = [
            one for one in objects(name, "ConfigMap") if one["metadata"]["name"] == source["configMapRef"]["name"]
        ]
        found |= config["data"]
    for variable in container(pod).get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
            continue
        (reference,) = variable["valueFrom"].values()
        found[variable["name"]] = reference.get("key") or reference["fieldPath"]
    return found


def shown_kustomization() -> str:
    """The kustomization.yaml that docs/deployment.md shows."""
    text = (REPOSITORY / "docs" / "deployment.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(# kustomization\.yaml\n.*?)```", text, flags=re.DOTALL)
    return str(block)


def _write_own(folder: Path) -> Path:
    """The kustomization that the documents show, with a model beside it, in a folder of its own."""
    root = os.path.relpath(REPOSITORY, folder.resolve())
    text = shown_kustomization().replace("../ecg-monitor/", f"{root}/")
    (folder / "kustomization.yaml").write_text(text, encoding="utf-8")
    (folder / "ecg.safetensors").write_bytes(bytes(range(256)))
    return folder


def _kustomize(folder: Path) -> tuple[JSON, ...]:
    command = [program("kubectl", "kubernetes-client (of Debian 13)"), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))
