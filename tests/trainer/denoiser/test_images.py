"""Pictures come from Fashion-MNIST, from other IDX files or from PNGs, and are read correctly."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monitor.errors import RefusedError
from trainer.denoiser import fashion_mnist, images
from trainer.denoiser.fashion_mnist import DownloadError, Files

OFFICIAL = Path(os.environ.get("ECG_DATA", "data")) / "fashion-mnist"
TRAIN, TEST = fashion_mnist.OFFICIAL.train, fashion_mnist.OFFICIAL.test


def garments(count, seed=0, side=12):
    """Bright rectangles on black, as (n, h, w)."""
    random = np.random.default_rng(seed)
    made = np.zeros((count, side, side), np.uint8)
    for picture in made:
        top, left = random.integers(0, side // 2, 2)
        picture[top : top + side // 2, left : left + side // 3] = random.integers(100, 256)
    return made


def idx(made):
    return b"\0\0\x08\x03" + struct.pack(">III", *made.shape) + made.tobytes()


def write_idx(folder, train=20, test=5):
    (folder / TRAIN).write_bytes(idx(garments(train)))
    (folder / f"{TEST}.gz").write_bytes(gzip.compress(idx(garments(test, 1))))
    return folder


@pytest.fixture
def server():
    """A web server of answers: a path's bytes, and the length that it claims."""
    answers: dict[str, tuple[bytes, int]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in answers:
                return self.send_error(404)
            content, claimed = answers[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(claimed))
            self.end_headers()
            self.wfile.write(content)
            return None

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        running.answers = answers
        running.url = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def offered(server):
    """Two small packed files on the server, and what is expected of them."""
    contents = [idx(garments(20)), idx(garments(5, 1))]
    for name, content in zip((TRAIN, TEST), contents, strict=True):
        packed = gzip.compress(content)
        server.answers[f"/{name}.gz"] = packed, len(packed)
    checksums = [hashlib.sha256(content).hexdigest() for content in contents]
    return Files(train_sha256=checksums[0], test_sha256=checksums[1])


def test_packed_and_plain_idx_files_are_read_and_named_for_what_they_are(tmp_path):
    found = images.read(write_idx(tmp_path), channels=1)
    np.testing.assert_array_equal(found.train[:, 0], garments(20)[:19])
    np.testing.assert_array_equal(found.test[:, 0], garments(5, 1))
    assert "not Fashion-MNIST (the checksum differs)" in found.notes[0]


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (23, 1), (24, 2), (60, 5)])
def test_the_last_twelfth_of_the_training_pictures_is_held_out_to_choose_by(tmp_path, count, held_out):
    found = images.read(write_idx(tmp_path, count), channels=1)
    np.testing.assert_array_equal(found.train[:, 0], garments(count)[: count - held_out])
    np.testing.assert_array_equal(found.validation[:, 0], garments(count)[count - held_out :])


def test_a_single_training_picture_is_refused(tmp_path):
    with pytest.raises(RefusedError, match="one training picture, but at least two are needed"):
        images.read(write_idx(tmp_path, 1), channels=1)


def test_other_bytes_are_not_called_fashion_mnist(tmp_path):
    assert images.read(write_idx(tmp_path), channels=1).name == f"the IDX files of {tmp_path.name}"


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="needs Fashion-MNIST in the folder fashion-mnist of ECG_DATA")
def test_the_official_bytes_are_called_fashion_mnist():
    assert images.read(OFFICIAL, channels=1).name == "Fashion-MNIST"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (TRAIN, b"", "not an IDX file of pictures"),
        (TRAIN, idx(garments(3))[:-1], "its header says 3 x 12 x 12 values, but 431 bytes follow"),
        (TRAIN, idx(garments(0)), "its header says 0 x 12 x 12 values, but 0 bytes follow"),
        (TRAIN, idx(garments(3, side=9)), "training pictures are 9 x 9, test pictures are 12 x 12"),
        (f"{TEST}.gz", gzip.compress(idx(garments(3)))[:-9], "not a complete gzip file"),
    ],
    ids=["empty", "cut off", "no pictures", "two sizes", "half a gzip"],
)
def test_damaged_idx_files_are_refused_in_one_sentence(tmp_path, name, content, sentence):
    (write_idx(tmp_path) / name).write_bytes(content)
    with pytest.raises(RefusedError, match=sentence):
        images.read(tmp_path, channels=1)


def test_one_part_alone_is_missed_by_name(tmp_path):
    (write_idx(tmp_path) / TRAIN).unlink()
    with pytest.raises(RefusedError, match=f"{TRAIN}.* is missing"):
        images.read(tmp_path, channels=1)


def test_an_unpacked_bomb_is_refused_before_it_fills_the_memory(tmp_path):
    (write_idx(tmp_path) / f"{TEST}.gz").write_bytes(gzip.compress(bytes(fashion_mnist.MAX_BYTES + 1), 1))
    with pytest.raises(RefusedError, match="more than 268,435,456 bytes"):
        images.read(tmp_path, channels=1)


def test_tinted_pictures_keep_their_shape_in_a_colour_each(tmp_path):
    found = images.read(write_idx(tmp_path), channels=3)
    assert found.train.shape == (19, 3, 12, 12)
    np.testing.assert_array_equal(found.train.max(axis=1), garments(20)[:19])
    assert len({tuple(picture.max(axis=(1, 2))) for picture in found.train}) == 19
    assert found.fingerprint == images.read(tmp_path, channels=3).fingerprint


def test_the_files_are_fetched_once_they_are_proven(tmp_path, server, offered):
    fashion_mnist.fetch(tmp_path / "new", f"{server.url}/", offered)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [f"{TEST}.gz", f"{TRAIN}.gz"]
    assert images.read(tmp_path / "new", channels=1).train.shape == (19, 1, 12, 12)


@pytest.mark.parametrize(
    ("content", "claimed", "sentence"),
    [
        (gzip.compress(idx(garments(4))), None, "unpacked content has the SHA-256"),
        (b"not packed", None, "not a complete gzip file"),
        (b"short", 5000, "the download ended after 5 of 5,000 bytes"),
        (b"", fashion_mnist.MAX_PACKED_BYTES + 1, "but at most 67,108,864 are expected"),
    ],
    ids=["others", "no gzip", "cut off", "too large"],
)
def test_a_wrong_answer_leaves_the_folder_empty(tmp_path, server, offered, content, claimed, sentence):
    server.answers[f"/{TEST}.gz"] = content, len(content) if claimed is None else claimed
    with pytest.raises(DownloadError, match=sentence):
        fashion_mnist.fetch(tmp_path, server.url, offered)
    assert not list(tmp_path.iterdir())


def test_a_server_without_the_files_is_named_by_the_command(tmp_path, server, command):
    out = tmp_path / "model.safetensors"
    done = command("denoiser", "--data", tmp_path / "new", "--from", server.url, "--out", out)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {server.url}/{TRAIN}.gz: the server answers 404 Not Found"
    assert not out.exists()


def test_nothing_is_fetched_into_a_folder_that_is_in_use(tmp_path, server):
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(RefusedError, match="downloaded only into an empty or a new folder"):
        images.read(tmp_path, 1, server.url)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_only_web_addresses_are_fetched_from(tmp_path):
    with pytest.raises(RefusedError, match="only http:// and https://"):
        images.read(tmp_path / "new", 1, "file:///etc")


def write_pngs(folder, *arrays):
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{number:02}.png")
    return folder


def test_small_pngs_of_one_size_are_taken_whole_and_the_last_ones_are_judged_by(tmp_path):
    found = images.read(write_pngs(tmp_path, *garments(10)), channels=1)
    np.testing.assert_array_equal(found.train[:, 0], garments(10)[:7])
    np.testing.assert_array_equal(found.validation[:, 0], garments(10)[7:8])
    np.testing.assert_array_equal(found.test[:, 0], garments(10)[8:])


def test_pngs_of_several_sizes_are_cut_into_squares(tmp_path):
    arrays = np.zeros((70, 100, 3), np.uint8), np.zeros((40, 33), np.uint8), np.zeros((32, 65), np.uint8)
    found = images.read(write_pngs(tmp_path, *arrays), 3)
    assert [part.shape[1:] for part in (found.train, found.validation, found.test)] == [(3, 32, 32)] * 3
    assert [len(part) for part in (found.train, found.validation, found.test)] == [6, 1, 2]


def test_colour_becomes_grey_by_its_luminance_and_16_bits_become_8(tmp_path):
    colour = np.full((12, 12, 3), (255, 0, 0), np.uint8)
    deep = np.full((12, 12), 65535, np.uint16)
    found = images.read(write_pngs(tmp_path, colour, deep, deep), channels=1)
    assert (found.train.max(), found.test.min()) == (76, 255)


@pytest.mark.parametrize(("count", "side", "sentence"), [(2, 12, "PNGs: 2, but at least 3"), (3, 7, "7 pixels")])
def test_too_little_to_learn_from_is_refused(tmp_path, count, side, sentence):
    with pytest.raises(RefusedError, match=sentence):
        images.read(write_pngs(tmp_path, *garments(count, side=side)), channels=1)


@given(st.integers(1, 3), st.integers(8, 40), st.integers(8, 40), st.integers(8, 40))
def test_squares_hold_the_pixels_that_they_were_cut_from(channels, height, width, side):
    plane = np.arange(channels * height * width).reshape(channels, height, width)
    found = images.patches(plane, side)
    assert len(found) == (height // side) * (width // side)
    if len(found):
        np.testing.assert_array_equal(
            found[-1, :, 0, 0], plane[:, (height // side - 1) * side, (width // side - 1) * side]
        )


def test_pictures_of_one_brightness_are_refused(tmp_path):
    for level in range(5):
        Image.fromarray(np.full((12, 12), 50 * level, np.uint8)).save(tmp_path / f"{level}.png")
    with pytest.raises(RefusedError, match="every training picture is of one brightness, for example all black"):
        images.refuse_plain(tmp_path, images.read(tmp_path, 1))


def test_what_does_not_come_along_with_pngs_is_said(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    for number, made in enumerate(garments(6)):
        Image.fromarray(made).save(tmp_path / f"{number}.png", **({"exif": exif} if number < 2 else {}))
    assert images.read(tmp_path, 1).notes[1:] == (f"{tmp_path}: in 2 of 6 PNGs: it is turned as its EXIF data say",)
