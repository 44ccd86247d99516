"""How long a start and a command wait for a broker."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

from monitor.broker.client import Failure, failure_of
from monitor.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.settings import Settings

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

COMMAND_SECONDS = 15.0
START_SECONDS = 60.0
RETRY_SECONDS = 0.5
_MAY_PASS = {Failure.PASSING, Failure.LATE}


def retry_while_unavailable(call: Callable[[], Answer], settings: Settings) -> Answer:
    """What the call returns, tried again while its error may pass: a cluster with a node down refuses now and then.

    Raises BrokerError when the error will not pass, or when it lasts longer than a start may take.
    """
    deadline = time.monotonic() + min(START_SECONDS, settings.broker_timeout_seconds)
    while True:
        try:
            return call()
        except BrokerError as error:
            if failure_of(error) not in _MAY_PASS or time.monotonic() > deadline:
                raise
            log.info("%s: trying again", error)
            time.sleep(RETRY_SECONDS)
