"""Formats numbers like Grafana, with a unit that keeps them short."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import math

_SECONDS = ((86400.0, "day"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_SHORT = ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K"))


def written(value: float, unit: str) -> str:
    """The value as text in a Grafana unit."""
    if math.isnan(value):
        return ""
    if unit == "bool_yes_no":
        return "Yes" if value else "No"
    if unit == "percentunit":
        return f"{_digits(100 * value)}%"
    if unit == "s":
        return _scaled(value, _SECONDS, " ") if value else "0 s"
    if unit == "bytes":
        return _scaled(value, _BYTES, " ") or f"{_digits(value)} B"
    after = {"cps": " c/s", "cpm": " c/m"}.get(unit, "")
    return ((unit != "none" and _scaled(value, _SHORT, "")) or _digits(value)) + after


def _scaled(value: float, scales: tuple[tuple[float, str], ...], gap: str) -> str:
    for size, name in scales:
        if abs(value) >= size:
            return f"{_digits(value / size)}{gap}{name}"
    return ""


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"  # noqa: PLR2004
