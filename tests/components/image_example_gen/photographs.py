"""Folders of small photographs, good and bad, for the tests of the steps that take data in."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A colourful uint8 [height, width, 3] picture of smooth shapes."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels: np.ndarray, form: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def huge_png(side: int = 20_000) -> bytes:
    """A valid black PNG of `side` x `side` pixels in a few kilobytes; 400 megapixels by default."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    row = bytes(1 + (side + 7) // 8)
    packer = zlib.compressobj(1)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def write_good(folder: Path, count: int = 20) -> Path:
    """Write `count` good photographs into two class folders."""
    for index in range(count):
        name = folder / ("glacier" if index % 2 else "street/night") / f"{index:02}.jpg"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(encoded(picture(index), quality=90))
    return folder


BAD = {
    "truncated.jpg": "truncated",
    "text.jpg": "not_an_image",
    "huge.png": "too_many_pixels",
    "gray.jpg": "gray",
    "street/zz_copy.jpg": "duplicate",
    "empty.jpg": "empty",
}


def write_good_and_bad(folder: Path) -> Path:
    """Write 20 good photographs and one bad file for each line of `BAD`."""
    write_good(folder)
    good = (folder / "street/night/00.jpg").read_bytes()
    gray = np.repeat(picture(99)[..., :1], 3, axis=-1)
    contents = {
        "truncated.jpg": encoded(picture(98))[:700],
        "text.jpg": b"not a photograph, whatever its name says",
        "huge.png": huge_png(),
        "gray.jpg": encoded(gray),
        "street/zz_copy.jpg": good,
        "empty.jpg": b"",
    }
    assert contents.keys() == BAD.keys()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder
