"""What the end-to-end tests share."""

from __future__ import annotations

import pytest

from tests.e2e.desk import Desk


@pytest.fixture
def desk(make_settings, broker):
    return Desk(make_settings(), "exactly-once" if broker.is_kafka else "at-least-once")
