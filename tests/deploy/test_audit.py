"""An audit that could not reach the advisories does not report that there are none."""

from __future__ import annotations

import json
from typing import Any

from deploy.audit import judge

CLEAN = {"name": "click", "version": "8.5.1", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0)"}
VULNERABLE = {"name": "pillow", "version": "13.0.0", "vulns": [{"id": "PYSEC-0", "fix_versions": []}]}


def report(*pins: dict[str, Any]) -> str:
    """As pip-audit 2.10 writes it."""
    return json.dumps({"dependencies": pins, "fixes": []})


def test_pins_without_advisories_pass() -> None:
    assert judge(report(CLEAN, CLEAN)) == (0, "none of 2 pins is known to be vulnerable")


def test_a_vulnerable_pin_fails_by_name_even_if_others_could_not_be_looked_up() -> None:
    assert judge(report(CLEAN, SKIPPED, VULNERABLE)) == (1, "pillow: PYSEC-0")


def test_a_pin_that_could_not_be_looked_up_does_not_pass() -> None:
    code, sentence = judge(report(CLEAN, SKIPPED))
    assert code == 2
    assert "1 of 2 pins" in sentence


def test_no_answer_at_all_does_not_pass() -> None:
    assert judge("")[0] == 2
