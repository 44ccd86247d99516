"""Fashion-MNIST: IDX files of pictures, gzipped or not, from a folder or from the official address."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import RefusedError
from trainer.data import download
from trainer.data.download import DownloadError, NoAnswerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFICIAL_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
MAX_PACKED_BYTES = 64 * 1024 * 1024
MAX_BYTES = 256 * 1024 * 1024
IDX_BYTES_3_AXES = b"\0\0\x08\x03"
HEADER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Files:
    """The names of the two files, and the sha256 of each without gzip."""

    train: str = "train-images-idx3-ubyte"
    train_sha256: str = "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    test: str = "t10k-images-idx3-ubyte"
    test_sha256: str = "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"

    @property
    def both(self) -> tuple[tuple[str, str], ...]:
        """Name and sha256 of the training file and of the test file."""
        return (self.train, self.train_sha256), (self.test, self.test_sha256)


OFFICIAL = Files()


def present(folder: Path) -> bool:
    """Whether the folder has one of the two files. If one is missing, `read` says so; nothing is downloaded over it."""
    return any(_find(folder, name) is not None for name, _ in OFFICIAL.both)


def read(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8], bool]:
    """Training and test pictures (n, h, w), and whether their checksums are Fashion-MNIST's. Raises RefusedError."""
    parts: list[NDArray[np.uint8]] = []
    official = True
    for name, sha256 in OFFICIAL.both:
        path = _find(folder, name)
        if path is None:
            raise RefusedError(f"{folder}: {name}[.gz] is missing; the other of the two files is there")
        content = _unpacked(path)
        official &= hashlib.sha256(content).hexdigest() == sha256
        parts.append(_pictures(path, content))
    train, test = parts
    if train.shape[1:] != test.shape[1:]:
        raise RefusedError(f"{folder}: training pictures are {_size(train)}, test pictures are {_size(test)}")
    return train, test, official


def fetch(folder: Path, url: str = OFFICIAL_URL, files: Files = OFFICIAL) -> None:
    """Download the two gzipped files, verify their checksums, and then put both into the folder.

    Raises DownloadError, or RefusedError if the folder cannot be written to.
    """
    download.require_web(url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as place:
            for name, sha256 in files.both:
                (Path(place) / f"{name}.gz").write_bytes(_verified(f"{url.rstrip('/')}/{name}.gz", sha256))
            for file in Path(place).iterdir():
                file.replace(folder / file.name)
    except OSError as error:
        raise RefusedError(f"{folder}: cannot be written to: {error.strerror or error}") from error


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _unpacked(path: Path) -> bytes:
    """The bytes of a file, without gzip if it is gzipped. Raises RefusedError for more than `MAX_BYTES`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if content.startswith(b"\x1f\x8b"):
            content = _gunzip(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or f"it is not a complete gzip file ({error})"
        raise RefusedError(f"{path}: cannot be read: {reason}") from None
    if len(content) > MAX_BYTES:
        raise RefusedError(f"{path}: more than {MAX_BYTES:,} bytes of pictures")
    return content


def _gunzip(content: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        return stream.read(MAX_BYTES + 1)


def _pictures(path: Path, content: bytes) -> NDArray[np.uint8]:
    if len(content) < HEADER_BYTES or not content.startswith(IDX_BYTES_3_AXES):
        raise RefusedError(f"{path}: this is not an IDX file of pictures (bytes, three axes)")
    shape = tuple(np.frombuffer(content[4:HEADER_BYTES], ">u4").tolist())
    if 0 in shape or math.prod(shape) != len(content) - HEADER_BYTES:
        raise RefusedError(
            f"{path}: its header says {' x '.join(map(str, shape))} values, but "
            f"{len(content) - HEADER_BYTES:,} bytes follow"
        )
    return np.frombuffer(content, np.uint8, offset=HEADER_BYTES).reshape(shape)


def _size(pictures: NDArray[np.uint8]) -> str:
    return f"{pictures.shape[1]} x {pictures.shape[2]}"


def _verified(url: str, sha256: str) -> bytes:
    """Download a gzip file, and return it packed. Raises DownloadError unless its content has this SHA-256."""
    content = _downloaded(url)
    try:
        found = hashlib.sha256(_gunzip(content)).hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise DownloadError(f"{url}: its {len(content):,} bytes are not a complete gzip file ({error})") from None
    if found != sha256:
        raise DownloadError(f"{url}: its unpacked content has the SHA-256 {found}, but {sha256} is expected")
    return content


def _downloaded(url: str) -> bytes:
    try:
        return download.body(url, MAX_PACKED_BYTES)
    except NoAnswerError as error:
        raise DownloadError(f"{url}: {error}; put the IDX files of Fashion-MNIST into the folder yourself") from error
    except DownloadError as error:
        raise DownloadError(f"{url}: {error}") from error
