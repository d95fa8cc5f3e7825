"""What one person uploads never shows in another's result, in whatever layout the files are."""

import io
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import tifffile

from photo.decoding import decode_photo

CONSTANT = 777
LAYOUTS = {
    "planar": {},
    "planar and tiled": {"tile": (64, 64)},
    "planar and deflated": {"compression": "zlib"},
}


def tiff(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="rgb", metadata=None, **options)
    return file.getvalue()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_no_pixel_of_one_persons_photograph_shows_in_anothers(gateway, layout):
    secret = tiff(np.random.default_rng(0).integers(20_000, 65536, (512, 512, 3), np.uint16), compression="zlib")
    plain = tiff(np.full((3, 512, 512), CONSTANT, np.uint16), planarconfig="separate", **layout)

    def color(photo: bytes) -> np.ndarray:
        with httpx.Client(base_url=gateway.address, timeout=60) as client:
            answer = client.post("/api/colorize?strength=0", content=photo)
            assert answer.status_code == 200, answer.text
            return decode_photo(answer.content).rgb

    with ThreadPoolExecutor(2) as people:
        for _ in range(4):
            _, own = people.map(color, (secret, plain))
            assert np.abs(own.astype(int) - CONSTANT).max() <= 2
