"""Times as a person types them."""

from __future__ import annotations

from datetime import UTC, datetime

import click


def milliseconds(time: str | None) -> int | None:
    """Milliseconds since the epoch of a time in ISO 8601, in UTC without an offset. Raises click.BadParameter."""
    if time is None:
        return None
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise click.BadParameter(f"{time!r} is not a time; a time looks like 2026-11-24T10:00:00Z") from error
    return int(1000 * (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
