"""Closes a socket whose TLS handshake failed. For correctness.

kafka-python 3.0.12 leaves such a socket open: a broker whose certificate is not accepted costs one at every attempt.
"""

from __future__ import annotations

import ssl

from monitor.broker.kafka_python import known_versions


class _Socket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as ssl has it
        """As ssl does, and close the socket when that fails."""
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise


def close_after_failed_handshakes(context: ssl.SSLContext) -> None:
    """Let the sockets of this context close themselves."""
    known_versions.require_known()
    context.sslsocket_class = _Socket
