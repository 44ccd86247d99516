"""ECG anomaly monitor. The names in `__all__` are its public Python API.

    from monitor import load_model
    model = load_model("model.safetensors")
    result = model.score(beats)  # (n, 140) array -> .score, .p_value, .abnormal, .cause

`import monitor` loads nothing else. NumPy comes with the first public name, torch with the first model that needs it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.api import ScoreResult, ScoringModel, load_model
else:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from monitor import api  # noqa: PLC0415 - brings NumPy

        return getattr(api, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = ["ScoreResult", "ScoringModel", "load_model"]
