"""Pictures to learn from, to choose by and to judge by: Fashion-MNIST, other IDX files, or a folder of PNGs.

The last twelfth of the training pictures is held out: epochs are chosen by it. What stands in a table is of the test
pictures, which nothing is chosen by. A folder of PNGs is split in the order of its names: the last 20 % are the test.
Pictures of one small size are taken whole, others are cut into squares of 32 x 32.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click
import numpy as np

from monitor.errors import RefusedError
from trainer.denoiser import fashion_mnist, png

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.denoiser.png import Picture

NAME = "Fashion-MNIST"
PATCH = 32
LEAST_SIDE = 8
MAX_WHOLE_SIDE = 64
TRAIN_SHARE = 0.8
HELD_OUT = 12  # one picture in so many of those to learn from
LEAST_PNGS = 3
MAX_VALUES = 512 * 1024 * 1024
TINT_SEED = 7
GREY_OF_COLOUR = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Pictures (n, c, h, w), and what had to be assumed about them; the epoch is chosen by `validation`."""

    name: str
    train: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    test: NDArray[np.uint8]
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A sha256 over the pictures."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            digest.update(f"{part.shape} ".encode() + part.tobytes())
        return digest.hexdigest()

    def first(self, train: int, others: int) -> ImageSet:
        """The same with so many pictures at most to learn from, to choose by and to judge by."""
        return replace(self, train=self.train[:train], validation=self.validation[:others], test=self.test[:others])


def read(folder: Path, channels: int, url: str = fashion_mnist.OFFICIAL_URL) -> ImageSet:
    """The pictures of a folder in so many channels; Fashion-MNIST is fetched into an empty one.

    Raises RefusedError, or DownloadError when it has to be fetched and cannot be.
    """
    if not fashion_mnist.present(folder):
        files = sorted(folder.glob("*.[pP][nN][gG]")) if folder.is_dir() else []
        if files:
            return _of_pngs(folder, files, channels)
        if _is_used(folder):
            raise RefusedError(
                f"{folder}: has neither IDX files nor PNGs; {NAME} is fetched only into an empty folder or a new one"
            )
        click.echo(f"{folder} has neither IDX files nor PNGs: fetching {NAME} from {url}", err=True)
        fashion_mnist.fetch(folder, url)
    train, test, official = fashion_mnist.read(folder)
    name = NAME if official else f"the IDX files of {folder.resolve().name}"
    notes = () if official else (f"{folder}: not {NAME} (the checksum differs); taken as they are",)
    if len(train) < 2:  # noqa: PLR2004  # one to learn from, one to choose by
        raise RefusedError(f"{folder}: one training picture, where at least two are needed")
    if channels == 1:
        return ImageSet(name, *_parted(train[:, None]), test[:, None], notes)
    draw = np.random.default_rng(TINT_SEED)
    return ImageSet(f"{name}, tinted", *_parted(tinted(train, draw)), tinted(test, draw), notes)


def _is_used(folder: Path) -> bool:
    """Whether there is anything in it that a person put there."""
    try:
        return folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir())
    except OSError as error:
        raise RefusedError(f"{folder}: cannot be read: {error.strerror}") from error


def _parted(train: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What is learnt from, and what is held out to choose by."""
    cut = len(train) - max(1, len(train) // HELD_OUT)
    return train[:cut], train[cut:]


def tinted(grey: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """Each picture (n, h, w) as a garment of one light colour: (n, 3, h, w)."""
    colours = draw.uniform(0.15, 1, (len(grey), 3))
    colours /= colours.max(axis=1, keepdims=True)
    return np.rint(grey[:, None] * colours[..., None, None].astype(np.float32)).astype(np.uint8)


def _of_pngs(folder: Path, files: Sequence[Path], channels: int) -> ImageSet:
    if len(files) < LEAST_PNGS:
        raise RefusedError(
            f"{folder}: PNGs: {len(files)}, where at least {LEAST_PNGS} are needed: to learn from, to choose the epoch "
            "by and to judge by"
        )
    planes = [_planes(png.read(file), channels) for file in files]
    sides = {plane.shape[1:] for plane in planes}
    whole = len(sides) == 1 and max(max(side) for side in sides) <= MAX_WHOLE_SIDE
    size = min(min(side) for side in sides)
    if size < LEAST_SIDE:
        raise RefusedError(f"{folder}: a picture is {size} pixels small, where at least {LEAST_SIDE} are needed")
    if sum(plane.size for plane in planes) > MAX_VALUES:
        raise RefusedError(f"{folder}: more than {MAX_VALUES:,} values in its pictures; give fewer of them")
    parts = [plane[None] if whole else patches(plane, min(PATCH, size)) for plane in planes]
    cut = int(TRAIN_SHARE * len(parts))
    train, test = np.concatenate(parts[:cut]), np.concatenate(parts[cut:])
    shape = f"{train.shape[2]} x {train.shape[3]}"
    note = f"{folder}: {len(files):,} PNGs as {shape}; the last {len(parts) - cut:,} of them are judged by"
    return ImageSet(f"the PNGs of {folder.resolve().name}", *_parted(train), test, (note,))


def patches(plane: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture (c, h, w) in squares (n, c, side, side), what is left over at the right and the bottom left out."""
    channels, height, width = plane.shape
    rows, columns = height // side, width // side
    cut = plane[:, : rows * side, : columns * side].reshape(channels, rows, side, columns, side)
    return cut.transpose(1, 3, 0, 2, 4).reshape(-1, channels, side, side)


def _planes(picture: Picture, channels: int) -> NDArray[np.uint8]:
    """A picture as (channels, h, w) of 8 bits: colour to grey by luminance, grey to colour by repetition."""
    values = picture.values / (picture.top / 255)
    if channels < picture.channels:
        values = (values @ np.array(GREY_OF_COLOUR))[..., None]
    shape = (*values.shape[:2], channels)
    return np.rint(np.broadcast_to(values, shape)).astype(np.uint8).transpose(2, 0, 1)
