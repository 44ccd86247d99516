"""Makes certificates: authorities, servers' and clients' certificates, and some that are expired or for other hosts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption

DAY = timedelta(days=1)
PLAIN = serialization.NoEncryption()


@dataclass(frozen=True, slots=True)
class Identity:
    """Files in PEM: the certificate, its key, and both in one as Kafka's keystore wants them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """A certificate authority that only the tests know."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(self._name, self._name, self._key, 30 * DAY).add_extension(constraints, critical=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def issue(self, name: str, host: str = "localhost", valid: timedelta = DAY) -> Identity:
        """A certificate for server and client; a negative `valid` makes it one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        builder = _builder(_named(name), self._name, key, valid).add_extension(names, critical=False)
        certificate = _pem(builder.sign(self._key, hashes.SHA256()))
        identity = Identity(*(self._folder / f"{name}.{what}.pem" for what in ("crt", "key", "both")))
        identity.certificate.write_bytes(certificate)
        identity.key.write_bytes(_key_pem(key))
        identity.both.write_bytes(_key_pem(key) + certificate)
        return identity


def encrypted(key: Path, password: str) -> bytes:
    """The key in the file, as PEM that only this password opens."""
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    return _key_pem(loaded, serialization.BestAvailableEncryption(password.encode()))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: object, valid: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 90 * DAY)
        .not_valid_after(now + valid)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: object, encryption: KeySerializationEncryption = PLAIN) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
