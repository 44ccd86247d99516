"""Reading and writing PNG files as arrays. Any other file is refused in one sentence."""

from __future__ import annotations

import contextlib
import os
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_PIXELS = 64_000_000  # 8000 x 8000; a decoded pixel takes up to four bytes
DEEP = 16
SRGB_GAMMA, GAMMA_TOLERANCE = 0.45455, 0.01  # what a PNG says of itself that is meant for a screen
REDUCED = "8 of its 16 bits per value are kept"  # Pillow keeps all 16 only of grey pictures without transparency
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation
_DEPTH_AT = 24  # byte of a PNG that holds the bits per value


@dataclass(frozen=True, slots=True)
class Picture:
    """Values (h, w, c) of a grey (c = 1) or colour (c = 3) picture with 8 or 16 bits, and its alpha (h, w) or None.

    `notes` say what of the file was changed or left out, in the words of a list.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    alpha: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()

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
        notes = _notes(image)
        found = _picture(_upright(image), _depth(path))
        return replace(found, notes=(*notes, *found.notes))


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data say. Pillow's own function raises on some damaged EXIF data."""
    turn = TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """How the picture has to be turned, by EXIF's numbers; 1 means not at all, also where the EXIF data are damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, ValueError, TypeError, KeyError, SyntaxError, struct.error):
        return 1


def _notes(image: Image.Image) -> tuple[str, ...]:
    """What of a picture does not come along."""
    notes = []
    if (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"only the first of its {frames} frames is read")
    if _orientation(image) in TURNS:
        notes.append("it is turned as its EXIF data say")
    gamma = image.info.get("gamma", SRGB_GAMMA)
    if abs(gamma - SRGB_GAMMA) > GAMMA_TOLERANCE:
        notes.append(f"its gamma of {gamma:g} is left out")
    if "icc_profile" in image.info:
        notes.append("its colour profile is left out")
    return tuple(notes)


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
        return Picture((deep >> 8).astype(np.uint8)[..., None], seen, (REDUCED,))
    grey = image.mode in ("1", "L", "LA")
    alpha = image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info
    array = np.asarray(image.convert(("L" if grey else "RGB") + ("A" if alpha else "")))
    values: NDArray[np.uint8] = array[..., None] if array.ndim == 2 else array  # noqa: PLR2004  # no channels: plain grey
    return Picture(
        values[..., :-1] if alpha else values, values[..., -1] if alpha else None, (REDUCED,) * (depth == DEEP)
    )
