"""Checks that the installed client is the version that the patches of this package were written for.

One digest covers every file that is patched or whose private parts are used, and the files of the consumer group, on
whose behaviour `group` relies.
"""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from pathlib import Path

import kafka

log = logging.getLogger(__name__)

KNOWN = frozenset({"bae77ba636ea1396ca89b2372ff9f4f950fab62012964a91f3fe34de22193bec"})  # SHA-256 over FILES: 3.0.12

FILES = (  # within the package `kafka`
    "cluster.py",
    "codec.py",
    "consumer/fetcher.py",
    "consumer/group.py",
    "consumer/subscription_state.py",
    "coordinator/base.py",
    "coordinator/consumer.py",
    "coordinator/heartbeat.py",
    "future.py",
    "net/compat.py",
    "net/connection.py",
    "net/manager.py",
    "net/selector.py",
    "net/transport.py",
    "producer/future.py",
    "producer/kafka.py",
    "producer/producer_batch.py",
    "producer/record_accumulator.py",
    "producer/sender.py",
    "producer/transaction_manager.py",
    "protocol/api_message.py",
    "protocol/frame.py",
    "protocol/parser.py",
    "protocol/schemas/fields/codecs/types.py",
    "record/default_records.py",
    "record/memory_records.py",
    "record/util.py",
)


def digest(folder: Path) -> str:
    """SHA-256 over all FILES below `folder`, the package `kafka`; empty where one of them is missing."""
    found = hashlib.sha256()
    for name in FILES:
        try:
            content = (folder / name).read_bytes()
        except OSError:
            return ""
        found.update(b"%s %d\n" % (name.encode(), len(content)))
        found.update(content)
    return found.hexdigest()


@cache
def is_known() -> bool:
    """Whether the installed client is a known one, byte by byte. Warns once, at the first call, if it is not."""
    if digest(Path(kafka.__file__).parent) in KNOWN:
        return True
    log.warning(
        "kafka-python %s is not known here: it runs on its own code alone, without corrections",
        kafka.__version__,
    )
    return False


def require_known() -> None:
    """The first call of every function that applies a patch: none is ever applied to a client that is not known.

    Raises RuntimeError there. Callers write `known_versions.require_known()`, so that a test can replace it.
    """
    if not is_known():
        raise RuntimeError("a patch for another version of kafka-python was to be applied")
