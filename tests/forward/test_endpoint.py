"""Addresses of receivers: which are taken, and what is said about the others."""

from __future__ import annotations

import ssl
import traceback

import pytest

from monitor.errors import RefusedError
from monitor.forward.endpoint import endpoint
from monitor.settings import Settings


def of(url, kind="webhook", **given):
    return endpoint(Settings(forward_url=url, **given), kind)


@pytest.mark.parametrize(
    ("kind", "url", "shown", "target"),
    [
        ("webhook", "https://x.example/hook?key=s3cret", "https://x.example:443", "/hook?key=s3cret"),
        ("webhook", "http://127.0.0.1:8080", "http://127.0.0.1:8080", "/"),
        ("webhook", "http://[::1]:8080/a", "http://[::1]:8080", "/a"),
        ("alertmanager", "http://am:9093", "http://am:9093", "/api/v2/alerts"),
        ("alertmanager", "http://am:9093/below/", "http://am:9093", "/below/api/v2/alerts"),
        ("alertmanager", "http://am:9093/api/v2/alerts", "http://am:9093", "/api/v2/alerts"),
    ],
)
def test_an_address_is_a_place_that_is_shown_and_a_path_that_is_not(kind, url, shown, target):
    found = of(url, kind)
    assert (str(found), found.target) == (shown, target)
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is not set"),
        ("alertmanager:9093", "this is no address"),
        ("ftp://x", "this is no address"),
        ("http://", "this is no address"),
        ("http://a..b/", "this is no address"),
        ("http://.example.com/", "this is no address"),
        (f"http://{'x' * 64}.de/", "this is no address"),
        ("http://x:port", "this is no address"),
        ("http://x:99999", "this is no address"),
        ("http://x:0/s3cret", "port 0"),
        ("http://x/" + "a" * 3000, "this is no address"),
        ("http://u:s3cret@x/", "has a login in it"),
        ("http://x/s3cret#a", "a fragment"),
        ("http://x/s3cret\u00e9", "not ASCII"),
        ("http://x/a b", "blanks"),
    ],
)
def test_what_is_none_is_refused_in_a_sentence_that_does_not_repeat_it(url, message):
    with pytest.raises(RefusedError, match=message) as caught:
        of(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_an_address_cannot_hold_a_line_of_its_own():
    with pytest.raises(RefusedError):
        of("http://x/a\r\nX-Admin: 1")


def test_certificates_are_checked():
    context = of("https://x").tls
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("content", "url", "message"),
    [
        (None, "https://x", "cannot be read"),
        ("no certificate", "https://x", "there is no certificate in it"),
        ("any", "http://x", "has no TLS"),
    ],
)
def test_certificates_that_cannot_be_used_are_named(tmp_path, content, url, message):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(RefusedError, match=f"MONITOR_FORWARD_CAFILE.*{message}"):
        of(url, forward_cafile=file)


@pytest.mark.parametrize("content", [b"", b" \n", b"s3cret token", b"s3cret\xff", b"s3cret\r\nX: y"])
def test_a_file_without_a_token_is_named_and_not_quoted(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(RefusedError, match="there is no bearer token in it") as caught:
        of("https://x", forward_token_file=tmp_path / "token").token()
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_only_another_machine_is_in_the_clear():
    assert of("http://x").is_in_the_clear
    assert not of("http://127.0.0.1").is_in_the_clear
    assert not of("https://x").is_in_the_clear
