"""Records of the MIT-BIH database come with the right checksums or not at all."""

from __future__ import annotations

import functools
import http.server
import threading
from pathlib import Path

import pytest

from monitor.errors import RefusedError
from tests.recordings import mitdb as at_hand
from trainer.data import mitdb
from trainer.data.sources import SourceError


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served():
    """A web server of a folder, and its URL."""
    servers = []

    def serve(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_records_come_from_a_server_by_name(command, served, tmp_path):
    url = served(at_hand.folder())
    done = command("fetch", "100", "208", "--out", tmp_path, "--from", url)
    assert (done.returncode, sorted({path.stem for path in tmp_path.iterdir()})) == (0, ["100", "208"])
    assert "2 of them from" in done.stdout
    again = command("fetch", "208", "--out", tmp_path, "--from", "http://127.0.0.1:1/")
    assert (again.returncode, "all were there already" in again.stdout) == (0, True)


def test_all_records_come_from_a_folder(tmp_path):
    names = mitdb.records(["mitdb"])
    assert mitdb.fetch(tmp_path, names, mitdb.source(str(at_hand.folder()))) == len(names) == 21
    assert len(list(tmp_path.iterdir())) == 63


@pytest.fixture
def false_folder(tmp_path):
    """A folder with files under the names of record 100 that are not it."""
    (tmp_path / "false").mkdir()
    for suffix in mitdb.SUFFIXES:
        (tmp_path / "false" / f"100{suffix}").write_bytes(b"x")
    return tmp_path / "false"


@pytest.mark.parametrize("by_web", [True, False])
def test_another_file_under_the_name_is_refused_and_not_kept(command, served, false_folder, tmp_path, by_web):
    place = served(false_folder) if by_web else false_folder
    done = command("fetch", "100", "--out", tmp_path / "out", "--from", place)
    assert done.returncode == 1
    assert "its 100.hea is not that of the MIT-BIH database" in done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_a_file_of_absurd_size_is_refused(served, false_folder, tmp_path):
    (false_folder / "100.hea").write_bytes(b"x" * (mitdb.MAX_BYTES + 1))
    with pytest.raises(SourceError, match="but at most"):
        mitdb.fetch(tmp_path / "out", ["100"], mitdb.source(served(false_folder)))


def test_a_source_that_lacks_a_record_is_named(served, tmp_path):
    with pytest.raises(SourceError, match=r"100\.hea: the server answers 404"):
        mitdb.fetch(tmp_path / "out", ["100"], mitdb.source(served(tmp_path)))
    with pytest.raises(SourceError, match=r"100\.hea: cannot be read"):
        mitdb.fetch(tmp_path / "out", ["100"], mitdb.source(str(tmp_path)))


@pytest.mark.parametrize("name", ["201", "../100", "", "100.dat", "x" * 500])
def test_a_name_outside_the_list_is_refused(command, tmp_path, name):
    done = command("fetch", name, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "is not a MIT-BIH record whose checksum is known" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_url_of_another_kind_is_refused():
    with pytest.raises(RefusedError, match="only http"):
        mitdb.source("ftp://example.org/")


def test_each_record_has_the_checksums_of_its_three_files():
    assert {Path(name).suffix for name in mitdb.CHECKSUMS} == set(mitdb.SUFFIXES)
    assert len(mitdb.CHECKSUMS) == 3 * len(mitdb.RECORDS)
