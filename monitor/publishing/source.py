"""Names of sources, as a user gives them."""

from __future__ import annotations

from monitor.errors import RefusedError

MAX_SOURCE_BYTES = 256


def check_source(name: str) -> None:
    """Raise RefusedError for a name that cannot be a record's key."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise RefusedError(f"the source {name!r} is not valid text: give another --source") from None
    if not name.isprintable():
        raise RefusedError(f"the source {name!r} has characters that are not printable: name another with --source")
    if not 0 < size <= MAX_SOURCE_BYTES:
        raise RefusedError(f"a source has {size} bytes, where 1 to {MAX_SOURCE_BYTES} are possible: {name[:40]!r}")
