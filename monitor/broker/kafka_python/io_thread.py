"""Code of ours that the Kafka client calls on its IO thread."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from kafka.errors import KafkaError

from monitor import log
from monitor.errors import CLIENT_PACKAGES, MonitorError, raised_in

if TYPE_CHECKING:
    from collections.abc import Callable

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def ends_the_process_on_a_defect(call: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Decorate a function that the client calls on its IO thread: a defect of ours ends the process, with a traceback.

    The client catches what such a function raises, and drops it or ends its IO thread: without this, a defect looks
    like a broker that does not answer. Errors of Kafka and those that the client itself raised pass.
    """

    @wraps(call)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        try:
            return call(*args, **kwargs)
        except (KafkaError, MonitorError):
            raise
        except Exception as error:
            if raised_in(error) not in CLIENT_PACKAGES:
                log.end_crashed(error)
            raise

    return guarded
