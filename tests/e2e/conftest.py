"""What the end-to-end tests share."""

from __future__ import annotations

import pytest

from tests.e2e.desk import Desk


@pytest.fixture
def desk(make_settings):
    return Desk(make_settings())
