"""These tests need confluent-kafka, which is an extra, and no broker."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("confluent_kafka") else ["test_*.py"]
