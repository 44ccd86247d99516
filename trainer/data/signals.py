"""Which signals of recordings a person wants to use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signals:
    """Leads by name or number; for CSV files also the samples a second and the unit. Nothing named: a usual lead."""

    leads: tuple[str, ...] = ()
    hz: float | None = None
    unit: str | None = None


ALL = Signals()
