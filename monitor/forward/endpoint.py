"""The address of a receiver, the token for it, and how TLS with it is checked."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.settings import Settings

MAX_URL, MAX_TOKEN_BYTES = 2048, 64 * 1024
URL = "--url or MONITOR_FORWARD_URL"
ALERTMANAGER_PATH = "/api/v2/alerts"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to POST. Its text is the place alone: path and query of a webhook may be secret."""

    host: str
    port: int
    target: str  # path and query
    tls: ssl.SSLContext | None
    token_file: Path | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}"

    @property
    def is_in_the_clear(self) -> bool:
        """Whether alerts, and the token, leave this machine unencrypted."""
        return self.tls is None and self.host not in {"localhost", "127.0.0.1", "::1"}

    def token(self) -> str:
        """The bearer token, as the file has it now; empty where there is no file. Raises RefusedError."""
        if self.token_file is None:
            return ""
        name = f"MONITOR_FORWARD_TOKEN_FILE={self.token_file}"
        try:
            with self.token_file.open("rb") as file:
                token = file.read(MAX_TOKEN_BYTES).strip()
        except OSError as error:
            raise RefusedError(f"{name}: cannot be read: {error.strerror}") from error
        if not re.fullmatch(rb"[\x21-\x7e]+", token):
            raise RefusedError(f"{name}: there is no bearer token in it, of printable ASCII without blanks")
        return token.decode("ascii")


def endpoint(settings: Settings, kind: str) -> Endpoint:
    """The endpoint of the settings for a receiver of this kind. Raises RefusedError for what cannot be used."""
    url = settings.forward_url.get_secret_value()
    if not url:
        raise RefusedError(f"{URL} is not set: where shall alarms go?")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
        host.encode("idna")  # as the resolver will
    except ValueError:
        raise RefusedError(f"{URL}: this is no address: {_example(kind)}") from None
    if parts.scheme not in {"http", "https"} or not host or len(url) > MAX_URL:
        raise RefusedError(f"{URL}: this is no address: {_example(kind)}")
    if not url.isascii() or not url.isprintable() or " " in url or parts.fragment:
        raise RefusedError(f"{URL}: blanks, a fragment, and what is not ASCII cannot be sent: encode them")
    if parts.username is not None:
        raise RefusedError(f"{URL} has a login in it: put a bearer token into a file, MONITOR_FORWARD_TOKEN_FILE")
    is_tls = parts.scheme == "https"
    if settings.forward_cafile is not None and not is_tls:
        raise RefusedError(f"MONITOR_FORWARD_CAFILE is set, and {URL} has no TLS: write https://, or take it out")
    if port == 0:
        raise RefusedError(f"{URL}: port 0 is none")
    target = f"{_path(parts.path, kind)}{'?' if parts.query else ''}{parts.query}"
    tls = _context(settings.forward_cafile) if is_tls else None
    return Endpoint(host, port or (443 if is_tls else 80), target, tls, settings.forward_token_file)


def _example(kind: str) -> str:
    return f"it looks like {'http://alertmanager:9093' if kind == 'alertmanager' else 'https://example.org/alarms'}"


def _path(path: str, kind: str) -> str:
    """Alertmanager may be given without the path of its API, and may lie below a path of its own."""
    if kind != "alertmanager" or path.endswith(ALERTMANAGER_PATH):
        return path or "/"
    return path.rstrip("/") + ALERTMANAGER_PATH


def _context(cafile: Path | None) -> ssl.SSLContext:
    """It checks certificate and host name, against the system's authorities or those of the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cafile is None:
        context.load_default_certs()
        return context
    name = f"MONITOR_FORWARD_CAFILE={cafile}"
    try:
        context.load_verify_locations(cafile)
    except ssl.SSLError as error:
        raise RefusedError(f"{name}: there is no certificate in it, in PEM form") from error
    except OSError as error:
        raise RefusedError(f"{name}: cannot be read: {error.strerror}") from error
    return context
