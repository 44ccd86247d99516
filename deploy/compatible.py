"""What another version of a message's schema takes away from those who know the one before. Only additions are free."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
WORDS = {"title", "description", "examples", "default", "$schema"}  # for people
PARTS = {"properties", "$defs"}  # by name: more may come
LISTS = {"enum", "required", "oneOf", "anyOf"}


def lost(old: Any, new: Any, *, is_read: bool, path: str = "") -> Iterator[str]:
    """Paths of what is gone from `old` or means something else in `new`.

    `is_read`: of messages that monitors read, where a field may become optional and none may become required. Those
    that they write always have the fields that they had.
    """
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield path
        return
    for name in (old.keys() | new.keys()) - WORDS:
        here = f"{path}/{name}"
        before, after = old.get(name), new.get(name)
        if name in PARTS:
            yield from _lost_parts(before or {}, after or {}, is_read=is_read, path=here)
        elif name == "required":
            missing = set(after or ()) - set(before or ()) if is_read else set(before or ()) - set(after or ())
            yield from (f"{here}/{one}" for one in sorted(missing))
        elif name in LISTS and before is not None and after is not None:
            yield from (f"{here}/{one}" for one in before if one not in after)
        else:
            yield from lost(before, after, is_read=is_read, path=here)


def _lost_parts(old: Schema, new: Schema, *, is_read: bool, path: str) -> Iterator[str]:
    for name, one in old.items():
        if name not in new:
            yield f"{path}/{name}"
        else:
            yield from lost(one, new[name], is_read=is_read, path=f"{path}/{name}")
