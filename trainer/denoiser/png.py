"""PNG files in and out, as arrays; everything else is refused in one sentence."""

from __future__ import annotations

import contextlib
import os
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_PIXELS = 64_000_000  # 8000 x 8000; four bytes each once decoded
DEEP = 16
_DEPTH_AT = 24  # byte of a PNG that holds the bits per value


@dataclass(frozen=True, slots=True)
class Picture:
    """Values (h, w, c) of a grey or colour picture, c = 1 or 3, and its alpha (h, w) or None; 8 or 16 bit.

    `reduced` says that the file had 16 bits, and that 8 of them were kept: so the library reads all but plain
    grey without transparency.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    alpha: NDArray[np.uint8] | None = None
    reduced: bool = False

    @property
    def channels(self) -> int:
        return int(self.values.shape[2])

    @property
    def top(self) -> int:
        """The value of white."""
        return 255 if self.values.dtype == np.uint8 else 65535


def read(path: Path) -> Picture:
    """The picture of a PNG file. Raises RefusedError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            return _read(path)
    except UnidentifiedImageError:
        raise RefusedError(f"{path}: this is no PNG picture") from None
    except Image.DecompressionBombError:
        raise RefusedError(f"{path}: it unpacks to more than the {MAX_PIXELS:,} pixels that are read") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        reason = getattr(error, "strerror", None) or f"a damaged PNG ({error})"
        raise RefusedError(f"{path}: cannot be read: {reason}") from None


def _read(path: Path) -> Picture:
    with Image.open(path, formats=["PNG"]) as image:
        if image.width * image.height > MAX_PIXELS:
            raise RefusedError(
                f"{path}: {image.width:,} x {image.height:,} pixels, where at most {MAX_PIXELS:,} are read"
            )
        image.load()
        return _picture(image, _depth(path))


def write(path: Path, picture: Picture) -> None:
    """A PNG of the same kind, grey or colour, 8 or 16 bit; under a temporary name first. Raises RefusedError."""
    planes = [picture.values] if picture.alpha is None else [picture.values, picture.alpha[..., None]]
    values = np.concatenate(planes, axis=2)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        Image.fromarray(values.squeeze(2) if values.shape[2] == 1 else values).save(temporary, format="PNG")
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(_DEPTH_AT + 1)[_DEPTH_AT]


def _picture(image: Image.Image, depth: int) -> Picture:
    """Palettes become colours, bits become bytes, a transparent colour becomes an alpha channel."""
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.uint16)
        clear = image.info.get("transparency")
        if clear is None:
            return Picture(deep[..., None])
        seen = np.where(deep == clear, 0, 255).astype(np.uint8)
        return Picture((deep >> 8).astype(np.uint8)[..., None], seen, reduced=True)
    grey = image.mode in ("1", "L", "LA")
    alpha = image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info
    array = np.asarray(image.convert(("L" if grey else "RGB") + ("A" if alpha else "")))
    values: NDArray[np.uint8] = array[..., None] if array.ndim == 2 else array  # noqa: PLR2004  # no channels: plain grey
    return Picture(values[..., :-1] if alpha else values, values[..., -1] if alpha else None, depth == DEEP)
