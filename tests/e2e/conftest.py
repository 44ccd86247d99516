"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import pytest

from tests.e2e.dead_letter_commands import DeadLetterCommands


@pytest.fixture
def dead_letters(make_settings):
    return DeadLetterCommands(make_settings())
