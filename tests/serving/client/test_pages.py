"""A TIFF of several pages is coloured whole where the result is a TIFF; what is left out is said with a count."""

import io

import numpy as np
import pytest
import tifffile

from photo.apply_ab import apply_ab_to_pages
from photo.coloring_options import ColoringOptions
from photo.decoding import decode_photo
from photo.errors import PhotoError
from photo.formats import PhotoFormat
from photo.input_kinds import open_photo
from photo.provenance import Provenance
from serving.client import Colorizer, ConnectionOptions, Hint
from tests.serving.wire_server import WireServer, running

SHADES = (40, 120, 200)


@pytest.fixture
def album() -> bytes:
    """Three pages of different sizes, the second of 16 bits."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as out:
        for number, shade in enumerate(SHADES):
            depth = np.uint16 if number == 1 else np.uint8
            page = np.full((30 + number, 40), shade * (257 if number == 1 else 1), depth)
            out.write(page, metadata=None, description=f"Page {number}")
    return file.getvalue()


def test_all_pages_are_coloured_and_written_as_pages(wire_server, album):
    with Colorizer(wire_server.address) as colorizer:
        colored = colorizer.colorize(album)
    pages = [decode_photo(colored, page=page) for page in range(3)]
    assert [page.pages for page in pages] == [3] * 3
    assert [page.rgb.shape[0] for page in pages] == [30, 31, 32]
    assert [page.rgb.dtype for page in pages] == [np.uint8, np.uint16, np.uint8]
    for page in pages:
        assert np.ptp(page.rgb.reshape(-1, 3).mean(0)) > 0  # in colour


def test_each_page_looks_as_it_would_alone(wire_server, album):
    with Colorizer(wire_server.address) as colorizer:
        together = colorizer.colorize(album)
        for page in range(3):
            alone = decode_photo(colorizer.colorize(album, ColoringOptions(page=page + 1)))
            assert alone.pages == 1
            np.testing.assert_array_equal(alone.rgb, decode_photo(together, page=page).rgb)


def test_a_result_that_holds_one_page_says_how_many_are_left_out(wire_server, album, tmp_path):
    source = tmp_path / "album.tif"
    source.write_bytes(album)
    with Colorizer(wire_server.address) as colorizer:
        one, all_pages = colorizer.colorize_files([(source, tmp_path / "one.png"), (source, tmp_path / "all.tif")])
    assert "2 more pages are not coloured, as a PNG is of one page" in one.notes
    assert not any("pages" in note for note in all_pages.notes)
    assert decode_photo((tmp_path / "one.png").read_bytes()).rgb.shape[0] == 30
    assert decode_photo((tmp_path / "all.tif").read_bytes()).pages == 3


def test_a_page_that_is_not_there_is_named(album):
    with pytest.raises(PhotoError, match="3 pages, and no page 4"):
        open_photo(album, ColoringOptions(page=4), max_pixels=10_000)
    with pytest.raises(ValueError, match="page of at least 1"):
        ColoringOptions(page=0)


def test_a_broken_page_names_itself(wire_server, album):
    with tifffile.TiffFile(io.BytesIO(album)) as file:
        tag = file.pages[2].tags["StripOffsets"]
    broken = album[: tag.valueoffset] + (1 << 30).to_bytes(4, "little") + album[tag.valueoffset + 4 :]
    with Colorizer(wire_server.address) as colorizer, pytest.raises(PhotoError, match="page 3: "):
        colorizer.colorize(broken)


def test_a_hint_colours_the_page_that_it_names(album):
    with running(WireServer(has_guided=True)) as server, Colorizer(server.address) as colorizer:
        plain = colorizer.colorize(album)
        hinted = colorizer.colorize(album, hints=[Hint(0.5, 0.5, "#9a6b3c", radius=0.1, page=2)])
        same = [
            np.array_equal(decode_photo(plain, page=page).rgb, decode_photo(hinted, page=page).rgb) for page in range(3)
        ]
        assert same == [True, False, True]
        second = colorizer.colorize(album, ColoringOptions(page=2), hints=[Hint(0.5, 0.5, "#9a6b3c", radius=0.1)])
        np.testing.assert_array_equal(decode_photo(second).rgb, decode_photo(hinted, page=1).rgb)
        one = [Hint(0.5, 0.5, "#9a6b3c", page=page) for page in (1, 2, 3)]
        [first] = colorizer.colorize_encoded(album, ColoringOptions(page=1), hints=one)
        assert first.notes == ("2 hints are for pages that are not coloured",)
        asked = len(server.requests)
        for photo in (album, np.zeros((30, 40), np.uint8)):
            with pytest.raises(PhotoError, match=r"a hint is for page 4, and the photograph has (3 pages|one page)"):
                colorizer.colorize(photo, hints=[Hint(0.5, 0.5, "#9a6b3c", page=4)])
        assert len(server.requests) == asked


def test_the_directories_of_a_tiff_are_read_once_for_all_its_pages(wire_server, album, monkeypatch):
    opened = []

    class Counted(tifffile.TiffFile):
        def __init__(self, *given, **options):
            opened.append(1)
            super().__init__(*given, **options)

    def readings(work) -> int:
        opened.clear()
        work()
        return len(opened)

    monkeypatch.setattr(tifffile, "TiffFile", Counted)
    options = ColoringOptions(tiff_compression="none")
    with Colorizer(wire_server.address) as colorizer:
        assert readings(lambda: colorizer.colorize(album, options)) == 2  # once to plan, once to decode
    ab = np.zeros((8, 8, 2), np.float32)
    assert readings(lambda: apply_ab_to_pages(album, lambda _: ab, options, provenance=Provenance())) == 2


def test_pages_are_bounded_together(wire_server, album):
    with Colorizer(wire_server.address, ConnectionOptions(max_pixels=3000)) as colorizer:
        with pytest.raises(PhotoError, match="3 pages have 3,720 pixels together; at most 3,000"):
            colorizer.colorize(album)
        assert decode_photo(colorizer.colorize(album, ColoringOptions(page=2))).rgb.shape[0] == 31
        assert decode_photo(colorizer.colorize(album, ColoringOptions(format=PhotoFormat.PNG))).pages == 1
