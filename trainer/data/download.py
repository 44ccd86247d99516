"""Download a file of bounded size within a bounded time. The caller checks what the file contains."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import click

from monitor.errors import MonitorError, RefusedError

if TYPE_CHECKING:
    from http.client import HTTPResponse

CONNECT_SECONDS = 5
DOWNLOAD_SECONDS = 300
CHUNK_BYTES = 64 * 1024


class DownloadError(MonitorError):
    """A server does not give the file. It may do so later."""


class NoAnswerError(DownloadError):
    """The server cannot be reached."""


def require_web(url: str) -> None:
    """Raises RefusedError for anything but http:// and https://."""
    if not url.startswith(("http://", "https://")):
        raise RefusedError(f"{url}: only http:// and https:// URLs can be fetched")


def body(url: str, max_bytes: int) -> bytes:
    """The bytes of the file at a URL, at most `max_bytes`. Raises DownloadError; its text does not repeat the URL."""
    require_web(url)
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as response:  # noqa: S310  # http(s), as required
            return _body(url.rpartition("/")[2], response, max_bytes)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"the server answers {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise NoAnswerError(f"no answer ({getattr(error, 'reason', error)})") from error


def _body(name: str, response: HTTPResponse, max_bytes: int) -> bytes:
    size = int(response.headers.get("Content-Length") or 0)
    if size > max_bytes:
        raise DownloadError(f"it has {size:,} bytes, but at most {max_bytes:,} are expected")
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    content = bytearray()
    with click.progressbar(length=size, label=f"downloading {name}", file=sys.stderr) as bar:
        while chunk := response.read1(CHUNK_BYTES):
            content += chunk
            bar.update(len(chunk))
            if len(content) > max_bytes or time.monotonic() > deadline:
                raise DownloadError(f"more than {max_bytes:,} bytes, or not complete after {DOWNLOAD_SECONDS} s")
    if len(content) < size:
        raise DownloadError(f"the download ended after {len(content):,} of {size:,} bytes")
    return bytes(content)
