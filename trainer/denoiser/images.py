"""Pictures for training, validation and test: Fashion-MNIST, other IDX files, or a folder of PNGs.

The last twelfth of the training pictures is the validation part: the best epoch is chosen by it. Nothing is chosen by
the test part; the tables show its figures. A folder of PNGs is divided in the order of the file names, and the last
20 % are the test part. Pictures that all have the same small size stay whole; others are cut into squares of 32 x 32.
"""

from __future__ import annotations

import hashlib
from collections import Counter
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
HELD_OUT = 12  # one training picture of so many is for validation
LEAST_PNGS = 3
MAX_VALUES = 512 * 1024 * 1024
TINT_SEED = 7
GREY_OF_COLOUR = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Pictures (n, c, h, w) in three parts, and notes on what was assumed about them."""

    name: str
    train: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    test: NDArray[np.uint8]
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A sha256 over all pictures."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            digest.update(f"{part.shape} ".encode() + part.tobytes())
        return digest.hexdigest()

    def first(self, train: int, others: int) -> ImageSet:
        """The set with at most `train` training pictures, and at most `others` for validation and for the test."""
        return replace(self, train=self.train[:train], validation=self.validation[:others], test=self.test[:others])


def read(folder: Path, channels: int, url: str = fashion_mnist.OFFICIAL_URL) -> ImageSet:
    """The pictures of a folder with 1 (grey) or 3 (colour) channels. Fashion-MNIST is downloaded into an empty folder.

    Raises RefusedError, or DownloadError if the download fails.
    """
    if not fashion_mnist.present(folder):
        files = sorted(folder.glob("*.[pP][nN][gG]")) if folder.is_dir() else []
        if files:
            return _of_pngs(folder, files, channels)
        if _is_used(folder):
            raise RefusedError(
                f"{folder}: has neither IDX files nor PNGs; {NAME} is downloaded only into an empty or a new folder"
            )
        click.echo(f"{folder} has neither IDX files nor PNGs: downloading {NAME} from {url}", err=True)
        fashion_mnist.fetch(folder, url)
    train, test, official = fashion_mnist.read(folder)
    name = NAME if official else f"the IDX files of {folder.resolve().name}"
    notes = (
        ()
        if official
        else (f"{folder}: these IDX files are not {NAME} (the checksum differs); they are used as they are",)
    )
    if len(train) < 2:  # noqa: PLR2004  # one to train on, one for validation
        raise RefusedError(f"{folder}: one training picture, but at least two are needed")
    if channels == 1:
        return ImageSet(name, *_parted(train[:, None]), test[:, None], notes)
    draw = np.random.default_rng(TINT_SEED)
    return ImageSet(f"{name}, tinted", *_parted(tinted(train, draw)), tinted(test, draw), notes)


def refuse_plain(folder: Path, pictures: ImageSet) -> None:
    """Raises RefusedError if every training picture has one value only, as all-black ones have."""
    if (pictures.train.min(axis=(2, 3)) == pictures.train.max(axis=(2, 3))).all():
        raise RefusedError(
            f"{folder}: every training picture is of one brightness, for example all black: there is nothing to learn"
        )


def _is_used(folder: Path) -> bool:
    """Whether the folder has any file that is not hidden."""
    try:
        return folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir())
    except OSError as error:
        raise RefusedError(f"{folder}: cannot be read: {error.strerror}") from error


def _parted(train: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The training pictures, and those held out for validation."""
    cut = len(train) - max(1, len(train) // HELD_OUT)
    return train[:cut], train[cut:]


def tinted(grey: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """Colour pictures (n, 3, h, w) from grey ones (n, h, w): each picture is tinted with one random light colour."""
    colours = draw.uniform(0.15, 1, (len(grey), 3))
    colours /= colours.max(axis=1, keepdims=True)
    return np.rint(grey[:, None] * colours[..., None, None].astype(np.float32)).astype(np.uint8)


def _of_pngs(folder: Path, files: Sequence[Path], channels: int) -> ImageSet:
    if len(files) < LEAST_PNGS:
        raise RefusedError(
            f"{folder}: PNGs: {len(files)}, but at least {LEAST_PNGS} are needed, for training, validation and test"
        )
    pictures = [png.read(file) for file in files]
    planes = [_planes(picture, channels) for picture in pictures]
    sides = {plane.shape[1:] for plane in planes}
    whole = len(sides) == 1 and max(max(side) for side in sides) <= MAX_WHOLE_SIDE
    size = min(min(side) for side in sides)
    if size < LEAST_SIDE:
        raise RefusedError(
            f"{folder}: a picture is only {size} pixels wide or high, but at least {LEAST_SIDE} are needed"
        )
    if sum(plane.size for plane in planes) > MAX_VALUES:
        raise RefusedError(f"{folder}: its pictures have more than {MAX_VALUES:,} values; use fewer pictures")
    squares = [plane[None] if whole else patches(plane, min(PATCH, size)) for plane in planes]
    cut = int(TRAIN_SHARE * len(squares))
    train, test = np.concatenate(squares[:cut]), np.concatenate(squares[cut:])
    shape = f"{train.shape[2]} x {train.shape[3]}"
    note = (
        f"{folder}: {len(files):,} PNGs as pictures of {shape}; the last {len(squares) - cut:,} PNGs are the test part"
    )
    found = Counter(each for picture in pictures for each in picture.notes)
    notes = tuple(f"{folder}: in {count:,} of {len(files):,} PNGs: {each}" for each, count in found.items())
    return ImageSet(f"the PNGs of {folder.resolve().name}", *_parted(train), test, (note, *notes))


def patches(plane: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture (c, h, w) cut into squares (n, c, side, side). The rest at the right and the bottom is dropped."""
    channels, height, width = plane.shape
    rows, columns = height // side, width // side
    cut = plane[:, : rows * side, : columns * side].reshape(channels, rows, side, columns, side)
    return cut.transpose(1, 3, 0, 2, 4).reshape(-1, channels, side, side)


def _planes(picture: Picture, channels: int) -> NDArray[np.uint8]:
    """A picture as 8-bit values (channels, h, w). Colour becomes grey by luminance, grey is repeated for colour."""
    values = picture.values / (picture.top / 255)
    if channels < picture.channels:
        values = (values @ np.array(GREY_OF_COLOUR))[..., None]
    shape = (*values.shape[:2], channels)
    return np.rint(np.broadcast_to(values, shape)).astype(np.uint8).transpose(2, 0, 1)
