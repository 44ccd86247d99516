"""Where beats are scored: the CPU, or a GPU through torch, which is imported only where it is needed."""

from __future__ import annotations

import ctypes
import re
from importlib.util import find_spec

from monitor.errors import RefusedError

CPU = "cpu"
_CUDA = re.compile(r"cuda(:(0|[1-9]\d{0,3}))?")
_DRIVER = "libcuda.so.1"  # comes with NVIDIA's driver, wherever that is installed


def resolve(device: str) -> str:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` names, as torch names it.

    `auto` is the GPU where there are one and torch, else the CPU. Raises RefusedError for another name, for a device
    that this machine does not have, and for a GPU without torch.
    """
    if device == "auto":
        return "cuda" if _has_driver() and has_torch() and _devices() else CPU
    if device == CPU:
        return CPU
    named = _CUDA.fullmatch(device)
    if named is None:
        raise RefusedError(f"device {device!r} is unknown: use auto, cpu, cuda or cuda:N")
    require_torch(f"device {device}")
    if int(named[2] or 0) >= _devices():
        raise RefusedError(f"device {device} is not there (torch sees {_devices()} CUDA devices): use auto or cpu")
    return device


def has_torch() -> bool:
    """Whether torch is installed. It is not imported: that takes seconds and 200 MiB."""
    return find_spec("torch") is not None


def require_torch(what: str) -> None:
    """Raise RefusedError, in which `what` is the subject, where torch is not installed."""
    if not has_torch():
        raise RefusedError(f"{what} needs torch: pip install 'ecg-monitor[gpu]'")


def _has_driver() -> bool:
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True


def _devices() -> int:
    """How many CUDA devices torch sees."""
    from monitor.model.tensors import cuda  # noqa: PLC0415 - imports torch

    return cuda.devices()
