"""Certificate and key files that cannot be used are named before Kafka is asked."""

from __future__ import annotations

import ssl

import pytest

from monitor.broker.kafka_python.config import client_config
from monitor.errors import RefusedError
from monitor.settings import Settings
from tests.certificates import Authority, encrypted

CA, CERTIFICATE, KEY = "MONITOR_SSL_CAFILE", "MONITOR_SSL_CERTFILE", "MONITOR_SSL_KEYFILE"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Settings by name of what is good, and of what is not."""
    folder = tmp_path_factory.mktemp("files")
    authority = Authority(folder, "ca")
    ours, other = authority.issue("ours"), authority.issue("other")
    (folder / "garbage").write_bytes(bytes(range(256)) * 8)
    (folder / "empty").touch()
    (folder / "encrypted").write_bytes(encrypted(ours.key, "s3cret"))
    (folder / "encrypted-both").write_bytes(encrypted(ours.key, "s3cret") + ours.certificate.read_bytes())
    named = {"ca": authority.file, "certificate": ours.certificate, "key": ours.key, "both": ours.both}
    return named | {"other": other.key, "folder": folder} | {path.name: path for path in folder.iterdir()}


def config(files, cafile=None, certfile=None, keyfile=None):
    given = {"ssl_cafile": cafile, "ssl_certfile": certfile, "ssl_keyfile": keyfile}
    paths = {name: files.get(file, files["folder"] / file) for name, file in given.items() if file}
    return client_config(Settings(security_protocol="SSL", **paths), 1)


@pytest.mark.parametrize(
    ("given", "setting", "said"),
    [
        (("nowhere",), CA, "nowhere: cannot be read: No such file or directory"),
        (("folder",), CA, "cannot be read: Is a directory"),
        (("garbage",), CA, "garbage: there is no certificate in it"),
        (("empty",), CA, "empty: there is no certificate in it"),
        (("key",), CA, "there is no certificate in it"),
        (("ca", "nowhere", "key"), CERTIFICATE, "nowhere: cannot be read"),
        (("ca", "garbage", "key"), CERTIFICATE, "garbage: there is no certificate in it"),
        (("ca", "certificate", "nowhere"), KEY, "nowhere: cannot be read"),
        (("ca", "certificate", "garbage"), KEY, "garbage: there is no private key in it"),
        (("ca", "certificate", "ca"), KEY, "there is no private key in it"),
        (("ca", "certificate"), CERTIFICATE, "there is no private key in it"),
        (("ca", "certificate", "other"), KEY, "this key does not belong to the certificate"),
        (("ca", "certificate", "encrypted"), KEY, "the key is encrypted, and the monitor takes no password for it"),
        (("ca", "encrypted-both"), CERTIFICATE, "openssl pkey"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_setting(files, given, setting, said):
    with pytest.raises(RefusedError) as caught:
        config(files, *given)
    assert str(caught.value).startswith(f"{setting}=")
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("given", [("ca",), ("ca", "certificate", "key"), ("ca", "both"), ()])
def test_good_files_make_a_context_that_checks_certificate_and_host(files, given):
    context = config(files, *given)["ssl_context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
