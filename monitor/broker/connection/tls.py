"""TLS from three files: the certificates to trust, our own certificate, and its key.

A file that cannot be used is reported before any connection is opened.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.settings import Settings


class _EncryptedError(Exception):
    pass


def tls_context(settings: Settings) -> ssl.SSLContext:
    """A context that checks the broker's certificate and host name. Raises RefusedError that names a bad file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ssl_cafile is None:
        context.load_default_certs()
    else:
        _trust(context, settings.ssl_cafile, "MONITOR_SSL_CAFILE")
    if settings.ssl_certfile is not None:
        _load_own_certificate(context, settings.ssl_certfile, settings.ssl_keyfile)
    return context


def _trust(context: ssl.SSLContext, path: Path, name: str) -> None:
    _open(path, name)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise RefusedError(f"{name}={path}: there is no certificate in it, in PEM form") from error


def _load_own_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Load our certificate and its key. An encrypted key is refused: OpenSSL would ask for its password."""
    name, of_key = "MONITOR_SSL_CERTFILE", "MONITOR_SSL_CERTFILE" if key is None else "MONITOR_SSL_KEYFILE"
    path = certificate if key is None else key
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, name)  # only checks that the file has a certificate
    _open(path, of_key)
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except _EncryptedError as error:
        raise RefusedError(
            f"{of_key}={path}: the key is encrypted, and the monitor takes no password for it: write it out with "
            "`openssl pkey -in ENCRYPTED -out PLAIN`, readable for the monitor alone"
        ) from error
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise RefusedError(
                f"{of_key}={path}: this key does not belong to the certificate in {certificate}"
            ) from error
        raise RefusedError(f"{of_key}={path}: there is no private key in it, in PEM form") from error


def _no_password() -> str:
    raise _EncryptedError


def _open(path: Path, name: str) -> None:
    """Raise RefusedError for a file that cannot be opened. OpenSSL does not say which file it was."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise RefusedError(f"{name}={path}: cannot be read: {error.strerror}") from error
