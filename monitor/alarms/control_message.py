"""The control message: what a record of `ecg.control` asks for, written and read. Pure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from monitor.errors import RefusedError
from monitor.log import printable
from monitor.records import strict_json
from monitor.records.strict_json import UnclearError

if TYPE_CHECKING:
    from monitor.records.record import ControlRecord

Measure = Literal["threshold", "false_alarm_rate"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
ALL = b"*"  # so a source of that very name cannot be addressed on its own
MAX_VALUE_BYTES = 64 * 1024
_THRESHOLD = b"threshold/"
_ACKNOWLEDGE = b"acknowledge/"  # has its place on the topic, but nobody reads it yet
_SHOWN = 80  # characters of a key in a sentence


@dataclass(frozen=True, slots=True)
class ThresholdCommand:
    """A threshold, or the false-alarm rate that one is to be found for; who asked for it, and why."""

    measure: Measure
    amount: float
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """What one record asks for: an order for a source, or for all of them (`*`); None takes back what was there."""

    source: bytes
    order: ThresholdCommand | None


def key(source: str) -> bytes:
    """The key of a source's orders. Raises RefusedError where no beat could have such a source."""
    try:
        name = source.encode()
    except UnicodeEncodeError:
        raise RefusedError("the source is not UTF-8, as every source of beats is") from None
    _source(_THRESHOLD + name)
    return _THRESHOLD + name


def encode(order: ThresholdCommand) -> bytes:
    """The record's value. Raises RefusedError for an order that no monitor would follow."""
    fields = {order.measure: order.amount, "by": order.by, "note": order.note}
    value = json.dumps({name: field for name, field in fields.items() if field != ""}).encode()
    _order(value)
    return value


def read(change: ControlRecord) -> ControlRequest | None:
    """What the record asks for; None where it asks for nothing that this version knows of.

    Raises RefusedError, with what is wrong, where it makes no sense.
    """
    if change.key is not None and change.key.startswith(_ACKNOWLEDGE):
        return None
    source = _source(change.key)
    return ControlRequest(source, None if change.value is None else _order(change.value))


def complaint(change: ControlRecord, error: RefusedError, *, names_source: bool = True) -> str:
    """One sentence on a record that makes no sense, fit for a terminal whatever it holds."""
    name = "no key" if change.key is None else f"key {change.key[:_SHOWN].decode(errors='backslashreplace')}"
    whose = f", {name}" if names_source else ""
    return printable(f"control record at offset {change.offset}{whose}: {error}; it is ignored")


def _source(name: bytes | None) -> bytes:
    if name is None or not name.startswith(_THRESHOLD):
        raise RefusedError("the key names no source, as threshold/<source> and threshold/* do")
    source = name.removeprefix(_THRESHOLD)
    if not source:
        raise RefusedError("the source has no name")
    try:
        source.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"the source is not UTF-8 at byte {error.start}, as every source of beats is") from None
    return source


def _order(value: bytes) -> ThresholdCommand:
    if len(value) > MAX_VALUE_BYTES:
        raise RefusedError(f"{len(value)} bytes, where a control message has at most {MAX_VALUE_BYTES}")
    try:
        fields = strict_json.read(value)
    except UnclearError as error:
        raise RefusedError(error.detail) from None
    given = [name for name in MEASURES if name in fields]
    if len(given) != 1:
        wrong = "both" if given else "neither"
        raise RefusedError(f"{wrong} of `threshold` and `false_alarm_rate` stand in it, where one is expected")
    amount = _amount(given[0], fields[given[0]])
    by, note = (text if isinstance(text := fields.get(name), str) else "" for name in ("by", "note"))
    return ThresholdCommand(given[0], amount, by, note)


def _amount(name: Measure, amount: object) -> float:
    if not isinstance(amount, float):
        raise RefusedError(f"`{name}` is {strict_json.kind(amount)}, where a number is expected")
    if name == "false_alarm_rate" and not 0 < amount < 1:
        raise RefusedError(f"`{name}` is {amount:g}, where a share of the normal beats is expected, between 0 and 1")
    if not (amount > 0 and math.isfinite(amount)):
        raise RefusedError(f"`{name}` is {amount:g}, where a number above 0 is expected")
    return amount
