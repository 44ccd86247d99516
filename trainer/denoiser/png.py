"""Reading and writing PNG files as arrays. Any other file is refused in one sentence."""

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

MAX_PIXELS = 64_000_000  # 8000 x 8000; a decoded pixel takes up to four bytes
DEEP = 16
_DEPTH_AT = 24  # byte of a PNG that holds the bits per value


@dataclass(frozen=True, slots=True)
class Picture:
    """Values (h, w, c) of a grey (c = 1) or colour (c = 3) picture with 8 or 16 bits, and its alpha (h, w) or None.

    `reduced`: the file had 16 bits per value, and 8 of them were kept. Pillow keeps all 16 only of grey pictures
    without transparency.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    alpha: NDArray[np.uint8] | None = None
    reduced: bool = False

    @property
    def channels(self) -> int:
        return int(self.values.shape[2])

    @property
    def top(self) -> int:
        """The largest value, which stands for white."""
        return 255 if self.values.dtype == np.uint8 else 65535


def read(path: Path) -> Picture:
    """The picture in a PNG file. Raises RefusedError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower than Pillow's
            return _read(path)
    except UnidentifiedImageError:
        raise RefusedError(f"{path}: this is not a PNG picture") from None
    except Image.DecompressionBombError:
        raise RefusedError(f"{path}: it has more than {MAX_PIXELS:,} pixels, the most that are read") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        reason = getattr(error, "strerror", None) or f"a damaged PNG ({error})"
        raise RefusedError(f"{path}: cannot be read: {reason}") from None


def _read(path: Path) -> Picture:
    with Image.open(path, formats=["PNG"]) as image:
        if image.width * image.height > MAX_PIXELS:
            raise RefusedError(
                f"{path}: {image.width:,} x {image.height:,} pixels, but at most {MAX_PIXELS:,} are read"
            )
        image.load()
        return _picture(image, _depth(path))


def write(path: Path, picture: Picture) -> None:
    """Write a picture as PNG, under a temporary name first. Raises RefusedError.

    Grey stays grey, colour stays colour, and the number of bits stays the same.
    """
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
    """The picture as values: palettes become colours, bits become bytes, transparency becomes an alpha channel."""
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
