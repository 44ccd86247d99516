"""PNG files of every kind are read as they are, and other files are refused in one sentence."""

from __future__ import annotations

import contextlib
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from monitor.errors import RefusedError
from trainer.denoiser import png


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def made(width, height, depth=8, colour=0, rows=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def values(*shape, top=256):
    return np.random.default_rng(4).integers(0, top, shape)


@pytest.mark.parametrize(
    ("array", "channels", "alpha"),
    [
        (values(5, 7).astype(np.uint8), 1, False),
        (values(5, 7, 2).astype(np.uint8), 1, True),
        (values(5, 7, 3).astype(np.uint8), 3, False),
        (values(5, 7, 4).astype(np.uint8), 3, True),
        (values(5, 7, top=65536).astype(np.uint16), 1, False),
        (values(1, 1, 3).astype(np.uint8), 3, False),
    ],
    ids=["grey", "grey with alpha", "colour", "colour with alpha", "16 bit", "one pixel"],
)
def test_what_is_read_is_written_again_bit_for_bit(tmp_path, array, channels, alpha):
    Image.fromarray(array).save(tmp_path / "in.png")
    picture = png.read(tmp_path / "in.png")
    assert (picture.channels, picture.alpha is not None, picture.notes) == (channels, alpha, ())
    png.write(tmp_path / "out.png", picture)
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), array)


def test_palettes_and_bits_become_plain_values(tmp_path):
    Image.fromarray(values(5, 7).astype(np.uint8)).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(values(5, 7).astype(np.uint8)).convert("1").save(tmp_path / "bits.png")
    assert png.read(tmp_path / "palette.png").channels == 3
    bits = png.read(tmp_path / "bits.png")
    assert bits.channels == 1
    assert set(np.unique(bits.values)) <= {0, 255}


def test_a_transparent_colour_becomes_an_alpha_channel(tmp_path):
    Image.fromarray(np.array([[0, 9]], np.uint8)).save(tmp_path / "in.png", transparency=9)
    picture = png.read(tmp_path / "in.png")
    assert picture.alpha.tolist() == [[255, 0]]


def test_a_picture_is_turned_as_its_exif_data_say(tmp_path):
    array = values(3, 5, 3).astype(np.uint8)
    for orientation in range(1, 9):
        image, exif = Image.fromarray(array), Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        image.save(tmp_path / "in.png", exif=exif)
        with Image.open(tmp_path / "in.png") as saved:
            expected = np.asarray(ImageOps.exif_transpose(saved))
        found = png.read(tmp_path / "in.png")
        np.testing.assert_array_equal(found.values, expected)
        assert found.notes == (("it is turned as its EXIF data say",) if orientation > 1 else ())


def test_what_does_not_come_along_is_said(tmp_path):
    first, second = (Image.fromarray(values(3, 5, 3).astype(np.uint8)) for _ in range(2))
    second.putpixel((0, 0), (1, 2, 3))
    first.save(tmp_path / "moving.png", save_all=True, append_images=[second])
    assert png.read(tmp_path / "moving.png").notes == ("only the first of its 2 frames is read",)
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100_000))
    first.save(tmp_path / "linear.png", pnginfo=info, icc_profile=b"a profile")
    assert png.read(tmp_path / "linear.png").notes == ("its gamma of 1 is left out", "its colour profile is left out")
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 45_455))
    first.save(tmp_path / "usual.png", pnginfo=info)
    assert png.read(tmp_path / "usual.png").notes == ()


def test_colour_of_16_bit_reports_the_reduction_to_8(tmp_path):
    (tmp_path / "deep.png").write_bytes(made(2, 1, depth=16, colour=2, rows=b"\0" + bytes(range(12))))
    picture = png.read(tmp_path / "deep.png")
    assert picture.notes == ("8 of its 16 bits per value are kept",)
    assert picture.values.tolist() == [[[0, 2, 4], [6, 8, 10]]]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "this is not a PNG picture"),
        (b"GIF89a and so on", "this is not a PNG picture"),
        (made(4, 4, rows=b"\0\1\2\3\4" * 4)[:50], "a damaged PNG"),
        (made(9000, 9000), "9,000 x 9,000 pixels, but at most 64,000,000 are read"),
        (made(2**31 - 1, 2**31 - 1), "it has more than"),
    ],
    ids=["empty", "another format", "cut off", "bomb", "huge bomb"],
)
def test_a_file_that_is_not_a_picture_is_refused_in_one_sentence(tmp_path, content, sentence):
    (tmp_path / "in.png").write_bytes(content)
    with pytest.raises(RefusedError, match=sentence) as caught:
        png.read(tmp_path / "in.png")
    assert "\n" not in str(caught.value)


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "out.png").mkdir()
    with pytest.raises(RefusedError, match=r"out\.png: cannot be written"):
        png.write(tmp_path / "out.png", png.Picture(np.zeros((2, 2, 1), np.uint8)))
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RefusedError, match=r"none\.png: cannot be read: No such file"):
        png.read(tmp_path / "none.png")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_picture_is_read_or_refused_but_never_crashes(tmp_path_factory, data):
    content = bytearray(made(4, 3, depth=8, colour=2, rows=(b"\0" + bytes(range(12))) * 3))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "in.png"
    path.write_bytes(content[: data.draw(st.integers(8, len(content)))])
    with contextlib.suppress(RefusedError):
        assert png.read(path).values.ndim == 3
