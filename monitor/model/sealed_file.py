"""The sealed file: safetensors, with a JSON manifest in its header and a digest over all of its bytes.

Both kinds of model file (`monitor.model.artifact`, `trainer.denoiser.artifact`) are sealed files. A file is written
whole or not at all. Reading it runs no code, and every size is bounded before anything of that size is allocated.

The format of a safetensors file: 8 bytes with the length of the header (little-endian), the header (a JSON object),
the tensors. See https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import safetensors.numpy
from pydantic_core import from_json

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

UNSEALED = "0" * 64  # stands in the place of the digest while the digest is computed
LENGTH_BYTES = 8
MAX_MESSAGE_CHARACTERS = 300
_FOREIGN = {b"PK\x03\x04": "a zip archive"} | {bytes((0x80, protocol)): "a pickle" for protocol in range(2, 6)}


class SealedFileError(Exception):
    """What is wrong with a file, without its path. The artifact modules catch it and raise ArtifactError."""


@dataclass(frozen=True, slots=True)
class SealedFormat:
    """The name and the limits of one kind of sealed file."""

    noun: str  # with its article, as sentences say it
    max_bytes: int
    max_header_bytes: int
    max_values: int  # in the header's JSON, counted by its commas


def seal(manifest: str, tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The bytes of a file. `manifest` is JSON whose digest is UNSEALED; the same arguments give the same bytes.

    The digest is a sha256, in hex, over all bytes of the file with UNSEALED in the digest's place.
    """
    data = safetensors.numpy.save(dict(tensors), {"manifest": manifest})
    return data.replace(UNSEALED.encode(), hashlib.sha256(data).hexdigest().encode(), 1)


def write(path: Path, data: bytes) -> None:
    """Write the file, and its folder where there is none. A crash at any time leaves the old file or the new one.

    The bytes go to a temporary file in the same folder and to the disk, then the temporary file takes the name. Its
    permissions are those of the umask. A link is followed: what it points to is replaced. Raises RefusedError when the
    place cannot be written to, and for what is not a regular file: a device would be replaced by a file.
    """
    check_replaceable(path)
    path = Path(os.path.realpath(path))
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL and O_NOFOLLOW: a link at this name, put there by an attacker, is refused and not followed.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.write(data)
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_replaceable(path: Path) -> None:
    """Raise RefusedError where a device, a pipe or a folder has this name."""
    try:
        is_other = path.exists() and not path.is_file()
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror}") from error
    if is_other:
        raise RefusedError(f"{path}: cannot be written: it is not a regular file")


def temporary_path(path: Path) -> Path:
    """A hidden name beside `path`; random, so that two processes that save at once never share a temporary file."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _sync_folder(folder: Path) -> None:
    """Make the new name durable. Some network file systems cannot do that; the file itself is complete there too."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(path: Path, limits: SealedFormat) -> bytes:
    """All bytes of a file, which is opened only when it is a regular file of at most `max_bytes`.

    Raises SealedFileError.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SealedFileError("this is not a file")
        if status.st_size > limits.max_bytes:
            raise SealedFileError(f"{status.st_size:,} bytes, where {limits.noun} has at most {limits.max_bytes:,}")
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except OSError as error:
        raise SealedFileError(f"cannot be read: {error.strerror}") from None
    for magic, name in _FOREIGN.items():
        if data.startswith(magic):
            raise SealedFileError(f"this is {name}, where a safetensors file is expected")
    return data


def manifest_text(data: bytes, limits: SealedFormat) -> str | None:
    """The manifest's JSON out of a file's bytes; None where the header has none. Raises SealedFileError."""
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if len(data) < LENGTH_BYTES or length > limits.max_header_bytes or LENGTH_BYTES + length > len(data):
        raise SealedFileError(f"this is not a whole safetensors file ({len(data):,} bytes, header length {length:,})")
    encoded = data[LENGTH_BYTES : LENGTH_BYTES + length]
    check_values(encoded.count(b","), limits)
    try:
        header = from_json(encoded)
    except ValueError as error:
        raise SealedFileError(f"its header is not JSON ({error})") from None
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    text = metadata.get("manifest") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        return None
    check_values(text.count(","), limits)  # commas that were escaped in the header count as well
    return text


def check_values(values: int, limits: SealedFormat) -> None:
    """Raise SealedFileError for more values than this format holds: parsing them would take memory without bound."""
    if values > limits.max_values:
        raise SealedFileError(
            f"its header holds {values:,} values, where {limits.noun} has at most {limits.max_values:,}"
        )


def tensors(data: bytes) -> dict[str, NDArray[np.float32]]:
    """Every tensor by name, read-only, in its own shape. Raises SealedFileError unless all are finite float32."""
    try:
        found = safetensors.deserialize(data)  # type: ignore[no-untyped-call]  # the library has no types
    except safetensors.SafetensorError as error:
        raise SealedFileError(f"its tensors are damaged ({error})") from None
    for name, tensor in found:
        if tensor["dtype"] != "F32":
            raise SealedFileError(f"tensor {name:.40} is {tensor['dtype']}, where F32 is expected")
    return {name: np.frombuffer(tensor["data"], "<f4").reshape(tensor["shape"]) for name, tensor in found}


def check_finite(arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Raise SealedFileError where a tensor holds NaN or infinity."""
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise SealedFileError("a weight is not a finite number")


def check_digest(data: bytes, digest: str) -> None:
    """Raise SealedFileError unless `digest`, out of the manifest, is the one that `seal` computed of these bytes."""
    blank = data.replace(digest.encode(), UNSEALED.encode(), 1)
    if len(blank) != len(data) or hashlib.sha256(blank).hexdigest() != digest:
        raise SealedFileError("its bytes are not those that were written (the digest differs)")


def one_line(text: object) -> str:
    """A sentence that a terminal can show: shortened, and with spaces for characters that are not printable."""
    shortened = str(text)[:MAX_MESSAGE_CHARACTERS]
    return "".join(character if character.isprintable() else " " for character in shortened)
