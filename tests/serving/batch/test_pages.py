"""A TIFF of several pages is one photograph of a batch job: all its pages are coloured, or counted."""

import io

import numpy as np
import tifffile

from photo.decoding import decode_photo
from serving.batch import OutputSettings
from tests.serving.batch.test_job import manifest


def album(pages: int) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as out:
        for number in range(pages):
            out.write(np.linspace(0, 255, (30 + number) * 40).reshape(-1, 40).astype(np.uint8), metadata=None)
    return file.getvalue()


def test_all_pages_of_a_tiff_are_coloured_into_one(colored, tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "album.tif").write_bytes(album(3))
    (tmp_path / "scans" / "single.tif").write_bytes(album(1))
    assert colored(tmp_path / "scans", output=str(tmp_path / "out")).done == 2
    written = (tmp_path / "out" / "album.tif").read_bytes()
    for page in range(3):
        photo = decode_photo(written, page=page)
        assert (photo.pages, photo.rgb.shape) == (3, (30 + page, 40, 3))
    first = decode_photo((tmp_path / "out" / "single.tif").read_bytes())
    np.testing.assert_array_equal(first.rgb, decode_photo(written).rgb)


def test_pages_that_the_result_cannot_hold_are_counted_in_the_report(colored, tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "album.tif").write_bytes(album(3))
    colored(tmp_path / "scans", output=str(tmp_path / "out"), settings=OutputSettings(suffix=".png"))
    [row] = manifest(tmp_path / "out")
    assert "2 more pages are not coloured, as a PNG is of one page" in row["notes"]
